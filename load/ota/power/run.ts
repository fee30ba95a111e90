/**
 * `npm run bench:ota -- power [options]`: power cuts and kills at any moment of an update. First seeded faults on a
 * disk in this process that loses its power (torn and lost writes, undone renames, see node/testing/power-cut-disk.ts),
 * then real processes that are ended with SIGKILL. Exit 0 when nothing was harmed.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { watchFileSystem } from '@ioex/node/testing/power-cut'

export async function run(_args: readonly string[]): Promise<number> {
  // Before the modules that it watches.
  watchFileSystem()
  const { makeWorld } = await import('./world.ts')
  const { runFault, takeCensus } = await import('./faults.ts')
  const folder = await mkdtemp(join(tmpdir(), 'ioex-power-'))
  const world = await makeWorld(join(folder, 'world'))
  console.time('census')
  const census = await takeCensus(join(folder, 'world'), world)
  console.timeEnd('census')
  console.dir(census, {depth: 5})
  for (let i = 0; i < Number(_args[0]); i++) {
    const t = Date.now()
    const r = await runFault(join(folder, 'world'), world, census, { seed: 'x', number: i })
    console.log(i, Date.now() - t, JSON.stringify(r.cutIn), r.findings, r.bootedAfter, r.lostBlocks, r.bytesAgain, r.toldAgain)
  }
  await rm(folder, { recursive: true })
  return 0
}
