/**
 * `npm run bench:swarm -- [options]`: how long a release takes from its announcement to the last device, over
 * shaped links between network namespaces, with BitTorrent and plain HTTP on the same links. `--help` has the
 * options. Exit 0 when all was measured, 2 on misuse, 1 otherwise (no root, no namespaces, a device that failed).
 */
import { ARIA2_SETTINGS } from './aria2.ts'
import { runCell } from './cell.ts'
import { labSite, runInLab, whatIsMissing } from './janitor.ts'
import { CONGESTION_CONTROL, createLab, describeShaping, type Lab } from './lab.ts'
import { type Plan, readPlan, USAGE } from './plan.ts'
import { cellJson, formatCells, formatScale, formatThin, formatTimeline } from './report.ts'
import { runSeedsScale } from './seeds-scale.ts'
import { runTable } from './table.ts'
import { runThin } from './thin.ts'

const say = (line: string) => process.stderr.write(`swarm: ${line}\n`)
const print = (text: string) => process.stdout.write(`${text}\n`)

function planOrEnd(): Plan {
  const args = process.argv.slice(2)
  if (args.includes('--help')) {
    print(USAGE)
    process.exit(0)
  }
  try {
    return readPlan(args, process.env.IOEX_SHAPE)
  } catch (thrown) {
    say(thrown instanceof Error ? thrown.message : String(thrown))
    say(USAGE)
    process.exit(2)
  }
}

async function measure(lab: Lab, folder: string, plan: Plan): Promise<unknown> {
  print(`Links: ${describeShaping()}. Congestion control: ${CONGESTION_CONTROL}.`)
  const { what, cell, rivals, only } = plan
  const options = { folder, rivals, say }
  if (rivals.includes('aria2')) print(`aria2: ${ARIA2_SETTINGS.join(' ')}`)
  switch (what) {
    case 'cell': {
      const result = await runCell(lab, cell, options)
      print(`\nThe first device:\n${formatTimeline(result.timeline)}\n`)
      print(formatCells([result]))
      return cellJson(result)
    }
    case 'table': {
      const results = await runTable(lab, cell, options)
      print(formatCells(results))
      return { rows: results.map(cellJson) }
    }
    case 'seeds-scale': {
      const rows = await runSeedsScale(lab, cell, { ...options, onlySeeds: only.seeds })
      print(formatScale(rows))
      return { rows }
    }
    case 'thin': {
      const result = await runThin(lab, cell, { ...options, onlyKbit: only.rateKbit })
      print(formatThin(result))
      return result
    }
  }
}

const plan = planOrEnd()
const site = labSite()
if (site !== undefined) {
  try {
    const result = await measure(await createLab(site.prefix), site.folder, plan)
    if (plan.json) print(JSON.stringify(result))
  } catch (thrown) {
    say(`failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    process.exitCode = 1
  }
} else {
  const missing = await whatIsMissing()
  if (missing === undefined) {
    process.exitCode = await runInLab(import.meta.filename, process.argv.slice(2))
  } else {
    say(`not measured: ${missing}`)
    process.exitCode = 1
  }
}
