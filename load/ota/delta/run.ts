/**
 * `npm run bench:ota -- delta`: what a device fetches to get from one image to the next, and what making and
 * applying that takes, by our releases and by what others use. The images are real: root file systems and kernels
 * of Debian packages, and one large program. Every image that is made is compared with the wanted one byte for byte.
 * Exit code 0 when all that is on this machine came through, 1 when something failed or nothing could be measured,
 * 2 for a wrong option, 130 after Ctrl-C.
 */
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { cpus, homedir, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { asError, GIB } from '@ioex/node/base'
import { findProgram } from '../../exchange/find-program.ts'
import { createProcesses } from '../../exchange/processes.ts'
import { verdictsOf } from './goals.ts'
import { TIME_PROGRAM } from './measured.ts'
import { type BenchOptions, readOptions, USAGE } from './options.ts'
import { type OursNeeds, type OursRowName, oursRows } from './ours-rows.ts'
import { filePair, makePair } from './pairs.ts'
import { type RivalName, rivalRow } from './rival-row.ts'
import { RIVALS } from './rivals.ts'
import { tableOf } from './table.ts'
import type { Pair, PairReport, Row, RowName } from './types.ts'

const say = (line: string) => process.stderr.write(`bench:ota delta: ${line}\n`)
const print = (text: string) => process.stdout.write(`${text}\n`)

interface Bench {
  readonly options: BenchOptions
  /** Packages, images and what rivals have published. */
  readonly cache: string
  readonly time: string | undefined
  readonly ours: OursNeeds
}

export async function run(args: readonly string[]): Promise<number> {
  let options: BenchOptions | undefined
  try {
    options = readOptions(args, process.env)
  } catch (thrown) {
    say(`${asError(thrown).message}\n${USAGE}`)
    return 2
  }
  if (options === undefined) {
    print(USAGE)
    return 0
  }
  if (process.platform !== 'linux') {
    say('CPU and memory are read from /proc: this bench runs on Linux only')
    return 1
  }
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ioex', 'delta')
  await mkdir(cache, { recursive: true })
  // Beside the cache: images are large, and folders for temporary files may be in memory.
  const scratch = await mkdtemp(join(cache, 'running-'))
  const processes = createProcesses()
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => {
      processes.killAll()
      rmSync(scratch, { recursive: true, force: true, maxRetries: 10 })
      process.exit(code)
    })
  }
  try {
    const time = await findProgram(TIME_PROGRAM)
    const ours = { processes, scratch, applyRuns: options.runs }
    return await measure({ options, cache, time, ours })
  } finally {
    await processes.stopAll()
    await rm(scratch, { recursive: true, force: true })
  }
}

async function measure(bench: Bench): Promise<number> {
  const { options } = bench
  print(
    `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${Math.round(totalmem() / GIB)} GiB; ` +
      `${type()} ${release()}; Node ${process.version}; each update applied ${options.runs} times, the median shown; ` +
      '* what publishing took is from an earlier run\n',
  )
  const reports: PairReport[] = []
  const missing: { readonly pair: string; readonly reason: string }[] = []
  for (const [name, make] of pairsOf(bench)) {
    let pair: Pair
    try {
      pair = await make()
    } catch (thrown) {
      const reason = asError(thrown).message
      missing.push({ pair: name, reason })
      print(`${name}: MISSING: ${reason}\n`)
      continue
    }
    say(`${name}: ours`)
    const rows: Row[] = [...(await oursRows(options.only.filter(isOurs), pair, bench.ours))]
    for (const row of options.only.filter(isRival)) {
      say(`${name}: ${row}`)
      rows.push(await measureRival(row, pair, bench))
    }
    const report: PairReport = { pair, rows }
    reports.push(report)
    print(`${tableOf(report)}\n`)
  }
  if (options.json) {
    const pairs = reports.map((report) => ({ ...report, goals: verdictsOf(report) }))
    print(JSON.stringify({ runs: options.runs, pairs, missing }))
  }
  const rows = reports.flatMap((report) => report.rows)
  const isSound = (row: Row) => 'figures' in row || row.missing === true
  return rows.some((row) => 'figures' in row) && rows.every(isSound) ? 0 : 1
}

function pairsOf({ options, cache }: Bench): readonly (readonly [string, () => Promise<Pair>])[] {
  const { files, pairs } = options
  if (files !== undefined) return [['files', () => filePair(files.old, files.new)]]
  return pairs.map((name) => [name, () => makePair(name, { cache, say })])
}

function measureRival(name: RivalName, pair: Pair, bench: Bench): Promise<Row> {
  const { cache, time, ours, options } = bench
  if (time === undefined) {
    const error = 'GNU time is not installed; Debian: apt-get install time'
    return Promise.resolve({ name, error, missing: true })
  }
  return rivalRow(name, pair, { ...ours, ...options, cache, time })
}

function isRival(name: RowName): name is RivalName {
  return Object.hasOwn(RIVALS, name)
}

function isOurs(name: RowName): name is OursRowName {
  return !isRival(name)
}
