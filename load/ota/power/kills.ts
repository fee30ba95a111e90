/** The same device as a real process that is ended with SIGKILL: at a change of its disk, or whenever it happens. */
import { spawn } from 'node:child_process'
import { cp, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, type Random, systemClock } from '@ioex/node/base'
import { seededRandom } from '@ioex/node/testing'
import type { KillLife } from './kill-process.ts'
import { type Finding, inspectDisk } from './verdict.ts'
import { homeOf, VERSIONS, type World } from './world.ts'

export interface KillResult {
  readonly update: number
  readonly kills: number
  /** What the device told last before each. */
  readonly at: readonly string[]
  readonly findings: readonly Finding[]
  /** Verified and durable blocks that a kill has cost: the most of any one. */
  readonly lostBlocks: number
  readonly servedAgain: number
  readonly toldAgain: number
}

const KILLS_PER_UPDATE = 4
/** Changes and milliseconds of an update without any fault, and some more, so that not every kill finds it at work. */
const CHANGES = 170
const UPDATE_MS = 500
/** Of a process that takes some seconds on a busy machine. */
const STUCK_AFTER_MS = 120_000

interface Line {
  readonly event?: string
  readonly block?: string
  readonly report?: object
  readonly confirmed?: string
  readonly lost?: number
  readonly version?: string
  readonly servedBytes: number
}

export async function runKills(
  folder: string,
  worldFolder: string,
  world: World,
  options: { readonly seed: string; readonly kills: number; readonly say: (line: string) => void },
): Promise<readonly KillResult[]> {
  const results: KillResult[] = []
  let left = options.kills
  for (let update = 0; left > 0; update++) {
    const scratch = join(folder, `kills-${update}`)
    await mkdir(scratch)
    const random = seededRandom(`${options.seed} kills ${update}`)
    const result = await runUpdate(scratch, worldFolder, world, {
      update,
      random,
      maxKills: Math.min(left, KILLS_PER_UPDATE),
    })
    left -= result.kills
    results.push(result)
    for (const { harm, detail } of result.findings)
      options.say(`update ${update}: ${harm}: ${detail}`)
    await rm(scratch, { recursive: true })
  }
  return results
}

async function runUpdate(
  scratch: string,
  worldFolder: string,
  world: World,
  given: { readonly update: number; readonly random: Random; readonly maxKills: number },
): Promise<KillResult> {
  const { update, random, maxKills } = given
  await cp(worldFolder, scratch, { recursive: true, verbatimSymlinks: true })
  const home = homeOf(scratch, 'update')
  const findings: Finding[] = []
  const at: string[] = []
  const owed = new Set<string>()
  let lostBlocks = 0
  let lines: readonly Line[] = []
  let before = await inspectDisk(home, { mayBeEmpty: false, floor: 0 })
  let isKilled = true
  let servedBytes = 0
  for (let kills = 0; isKilled; ) {
    const own = kills < maxKills
    const byItself = own && random.int(2) === 0
    const life: KillLife = {
      folder: scratch,
      home,
      owed: [...owed],
      ...(byItself ? { diesBefore: random.int(CHANGES) } : {}),
    }
    isKilled = await liveInProcess(life, own && !byItself ? random.int(UPDATE_MS) : undefined)
    const all = await readLines(scratch)
    const fresh = all.slice(lines.length)
    lines = all
    servedBytes += fresh.at(-1)?.servedBytes ?? 0
    lostBlocks = Math.max(lostBlocks, ...fresh.map(({ lost }) => lost ?? 0))
    for (const { confirmed } of fresh) {
      if (confirmed !== undefined && confirmed === before.state?.installed?.root) {
        findings.push({ harm: 'confirmed twice', detail: confirmed })
      }
    }
    for (const { block } of fresh) if (block !== undefined) owed.add(block)
    const after = await inspectDisk(home, { mayBeEmpty: false, floor: before.metadataVersion })
    findings.push(...after.findings)
    if (after.state?.phase.name !== 'fetching') owed.clear()
    before = after
    if (!isKilled) break
    kills++
    at.push(fresh.findLast(({ event }) => event !== undefined)?.event ?? 'its start')
  }
  if (before.boots !== VERSIONS[1] || before.state?.installed?.version !== VERSIONS[1]) {
    findings.push({ harm: 'not at the new release', detail: JSON.stringify(before.state?.waiting) })
  }
  if (lostBlocks > 1)
    findings.push({ harm: 'verified block again', detail: `${lostBlocks} of them` })
  const reports = lines.flatMap(({ report }) =>
    report === undefined ? [] : [JSON.stringify(report)],
  )
  const different = new Set(reports).size
  if (different !== 1) {
    findings.push({ harm: 'confirmed twice', detail: `${different} confirmations were told` })
  }
  const neededBytes = world.releases[1]?.sealedBytes ?? 0
  return {
    update,
    kills: at.length,
    at,
    findings,
    lostBlocks,
    servedAgain: Math.max(0, servedBytes - neededBytes),
    toldAgain: reports.length - different,
  }
}

async function readLines(folder: string): Promise<Line[]> {
  const text = await readFile(join(folder, 'lives.jsonl'), 'utf8').catch((thrown: unknown) => {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    return ''
  })
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line)
}

/** True when it was killed. `killAfterMs` counts from its first word. */
async function liveInProcess(life: KillLife, killAfterMs: number | undefined): Promise<boolean> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'kill-process.ts'), JSON.stringify(life)],
    { stdio: ['ignore', 'inherit', 'inherit'], timeout: STUCK_AFTER_MS },
  )
  const ended = new Promise<boolean>((done, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      if (signal === 'SIGKILL') done(true)
      else if (code === 0) done(false)
      else reject(new Error(`the device ended with ${code ?? signal}`))
    })
  })
  if (killAfterMs !== undefined) {
    const before = (await readLines(life.folder)).length
    const isUp = async () => (await readLines(life.folder)).length > before
    while (child.exitCode === null && child.signalCode === null && !(await isUp())) {
      await systemClock.sleep(10)
    }
    await systemClock.sleep(killAfterMs)
    child.kill('SIGKILL')
  }
  return ended
}
