/**
 * `npm run bench:ota -- power [options]`: power cuts and kills at any moment of an update. First seeded faults on a
 * disk in this process that loses its power (torn and lost writes, undone renames, see node/testing/power-cut-disk.ts),
 * then real processes that are ended with SIGKILL. Exit 0 when nothing was harmed.
 */
import { access, constants, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { watchFileSystem } from '@ioex/node/testing/power-cut'
import { readOptions, USAGE } from './options.ts'

const print = (line: string) => process.stdout.write(`${line}\n`)
const TELL_EVERY = 100

/** In memory where the system has it: the barriers of what is not cut here would be real ones. */
async function scratchParent(): Promise<string> {
  const memory = '/dev/shm'
  return access(memory, constants.W_OK).then(
    () => memory,
    () => tmpdir(),
  )
}

export async function run(args: readonly string[]): Promise<number> {
  let options: ReturnType<typeof readOptions>
  try {
    options = readOptions(args, process.env.IOEX_SHAPE)
  } catch (thrown) {
    process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n${USAGE}\n`)
    return 2
  }
  if (options.help) {
    print(USAGE)
    return 0
  }
  // Before the modules that it watches.
  watchFileSystem()
  const { makeWorld } = await import('./world.ts')
  const { runFault, takeCensus } = await import('./faults.ts')
  const { runKills } = await import('./kills.ts')
  const { formatFaults, formatKills, summaryOf } = await import('./table.ts')
  const { seed } = options
  const folder = await mkdtemp(join(await scratchParent(), 'ioex-power-'))
  try {
    const worldFolder = join(folder, 'world')
    const world = await makeWorld(worldFolder)
    print(`seed ${seed}; one fault again: --seed ${seed} --fault NUMBER`)
    const faults = []
    if (options.faults > 0) {
      const census = await takeCensus(worldFolder, world)
      const from = options.fault ?? 0
      for (let number = from; number < from + options.faults; number++) {
        const result = await runFault(worldFolder, world, census, { seed, number })
        faults.push(result)
        for (const { harm, detail } of result.findings) print(`fault ${number}: ${harm}: ${detail}`)
        if (options.fault !== undefined) print(JSON.stringify(result, null, 2))
        else if (faults.length % TELL_EVERY === 0) print(`${faults.length} faults`)
      }
      print(formatFaults(faults))
    }
    const kills = await runKills(folder, worldFolder, world, {
      seed,
      kills: options.kills,
      say: print,
    })
    if (options.kills > 0) print(formatKills(kills))
    const summary = summaryOf(seed, faults, kills)
    if (options.json) print(JSON.stringify(summary))
    else
      print(
        Object.entries(summary.harms)
          .map(([harm, count]) => `${count} ${harm}`)
          .join(', '),
      )
    return Object.values(summary.harms).every((count) => count === 0) ? 0 : 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
