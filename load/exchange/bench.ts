/**
 * `npm run bench:exchange`: the same content from one process to another by our exchange, by Helia, by Kubo and
 * by nginx, each with durable stores on both sides, in turns. Exit code 0 when every competitor that is on this
 * machine came through, 1 when one failed, 2 for a wrong option, 130 after Ctrl-C.
 */
import { mkdir, mkdtemp, readdir, rm, statfs } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { join, resolve } from 'node:path'
import { asError, GIB, MIB, systemClock } from '@ioex/node/base'
import { COMPETITORS } from './competitors.ts'
import { type Content, makeContent } from './content.ts'
import { type BenchOptions, readOptions, USAGE } from './options.ts'
import { createProcesses } from './processes.ts'
import { selfTimes } from './profile.ts'
import { profileName, type Rig } from './rig.ts'
import { emptyRow, rowOf } from './rows.ts'
import { syncAll } from './sync.ts'
import { tableOf } from './table.ts'
import type { Competitor, Row, RowName, RunFigures } from './types.ts'

/** The content, five stores of senders, a CAR file and what a receiver has at its peak. */
const COPIES_ON_DISK = 9
/** A run that is slower than this has failed; the slowest competitor does ten times as much. */
const SLOWEST_MIB_PER_SECOND = 4
const LEAST_RUN_MS = 30_000
const SHOWN_FUNCTIONS = 15

const say = (line: string) => process.stderr.write(`bench:exchange: ${line}\n`)
const processes = createProcesses()

interface Entry {
  readonly name: RowName
  readonly competitor?: Competitor
  readonly runs: RunFigures[]
  readonly failures: string[]
  readonly empty?: Row
}

const options = parsed()
await mkdir(options.dir, { recursive: true })
const folder = await mkdtemp(join(resolve(options.dir), 'ioex-bench-exchange-'))
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => {
    processes.killAll()
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
    process.exit(code)
  })
}
let rows: readonly Row[] = []
try {
  await checkMachine(options)
  rows = await bench(options)
} finally {
  await processes.stopAll()
  await rm(folder, { recursive: true, force: true })
}
process.exitCode = rows.every(isSound) ? 0 : 1

/** Ours has to come through every time; another that stumbles once is only named. */
function isSound({ name, error, missing, failedRuns }: Row): boolean {
  if (error !== undefined) return missing === true
  return failedRuns === undefined || !name.startsWith('ours-')
}

function parsed(): BenchOptions {
  try {
    const read = readOptions(process.argv.slice(2), process.env)
    if (read !== undefined) return read
    process.stdout.write(`${USAGE}\n`)
    process.exit(0)
  } catch (thrown) {
    process.stderr.write(`bench:exchange: ${asError(thrown).message}\n${USAGE}\n`)
    process.exit(2)
  }
}

async function checkMachine({ mib, dir }: BenchOptions): Promise<void> {
  if (process.platform !== 'linux') {
    throw new Error('CPU and memory are read from /proc: this bench runs on Linux only')
  }
  const { bavail, bsize } = await statfs(dir)
  const needed = COPIES_ON_DISK * mib * MIB
  if (bavail * bsize < needed) {
    throw new Error(`${dir} has no room for ${needed / MIB} MiB; name another with --dir`)
  }
}

async function bench(wanted: BenchOptions): Promise<readonly Row[]> {
  const { mib, runs, only } = wanted
  say(`making ${mib} MiB of content in ${folder}`)
  const content = await makeContent(folder, mib)
  const cpuProfDir = wanted.cpuProfDir === undefined ? undefined : resolve(wanted.cpuProfDir)
  const { mayBuild } = wanted
  const rig: Rig = { folder, content, processes, say, mayBuild, cpuProfDir }
  const entries: Entry[] = []
  for (const name of only) entries.push(await prepared(name, rig))
  for (let round = 1; round <= runs; round++) {
    for (const entry of entries) await runOnce(entry, mib, round, runs)
  }
  const rows = entries.map(({ name, competitor, runs: done, failures, empty }) => {
    if (empty !== undefined) return empty
    if (competitor === undefined) return emptyRow(name, 'it was not run', false)
    return rowOf(name, content.plainBytes, competitor, done, failures)
  })
  await report(rows, content, wanted)
  return rows
}

async function prepared(name: RowName, rig: Rig): Promise<Entry> {
  try {
    const made = await COMPETITORS[name](rig)
    if (made.ok) return { name, competitor: made.value, runs: [], failures: [] }
    say(`${name}: ${made.reason}`)
    return { name, runs: [], failures: [], empty: emptyRow(name, made.reason, true) }
  } catch (thrown) {
    say(`${name}: ${asError(thrown).message}`)
    return { name, runs: [], failures: [], empty: emptyRow(name, asError(thrown).message, false) }
  }
}

/** A run that fails counts as speed 0; once half of them have failed there is nothing more to measure. */
async function runOnce(entry: Entry, mib: number, round: number, runs: number): Promise<void> {
  const { name, competitor, failures } = entry
  if (competitor === undefined || failures.length >= runs / 2) return
  const which = `${round} of ${runs}`
  // What others have written so far is not to be paid for by this one.
  await syncAll()
  const limitMs = Math.max(LEAST_RUN_MS, (mib / SLOWEST_MIB_PER_SECOND) * 1_000)
  try {
    const figures = await within(limitMs, competitor.run())
    entry.runs.push(figures)
    say(`${name}, run ${which}: ${(mib / figures.seconds).toFixed(1)} MiB/s`)
  } catch (thrown) {
    failures.push(`run ${which}: ${asError(thrown).message}`)
    say(`${name}, run ${which}: ${asError(thrown).message}`)
  } finally {
    await processes.stopAll()
    for (const left of await readdir(folder)) {
      if (left.startsWith('run-')) await rm(join(folder, left), { recursive: true, force: true })
    }
  }
}

async function within<T>(limitMs: number, running: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const cancel = systemClock.after(limitMs, () => {
    late.reject(new Error(`not done within ${limitMs / 1_000} s`))
  })
  try {
    return await Promise.race([running, late.promise])
  } finally {
    cancel()
  }
}

async function report(
  rows: readonly Row[],
  content: Content,
  { mib, runs, json, cpuProfDir, dir }: BenchOptions,
): Promise<void> {
  const averageKiB = content.blockBytes / content.blocks / 1_024
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / GIB),
    system: `${type()} ${release()}`,
    node: process.version,
  }
  const head = [
    `${mib} MiB of random content, ${content.blocks} unique blocks of ${averageKiB.toFixed(1)} KiB on average; medians of ${runs} interleaved runs`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${machine.system}; Node ${machine.node}; stores in ${dir}; loopback`,
    ...(cpuProfDir === undefined ? [] : ['our processes ran under the profiler, which slows them']),
  ]
  process.stdout.write(`${head.join('\n')}\n\n${tableOf(rows)}\n`)
  if (cpuProfDir !== undefined) await showProfiles(cpuProfDir)
  if (json) {
    const { blocks, blockBytes } = content
    process.stdout.write(`${JSON.stringify({ mib, runs, blocks, blockBytes, machine, rows })}\n`)
  }
}

async function showProfiles(cpuProfDir: string): Promise<void> {
  for (const file of ['ours-sender.ts', 'ours-receiver.ts']) {
    const path = join(resolve(cpuProfDir), profileName(file))
    process.stdout.write(`\n${path}, own time of the last run\n`)
    for (const { name, ms, part } of await selfTimes(path, SHOWN_FUNCTIONS)) {
      const share = `${(part * 100).toFixed(1)} %`.padStart(7)
      process.stdout.write(`${ms.toFixed(0).padStart(7)} ms ${share}  ${name}\n`)
    }
  }
}
