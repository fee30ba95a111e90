/** Chunks in a store beside an index, both compressed with zstd; the device seeds from its old image. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Rival } from './types.ts'

const make = (store: string, index: string, image: string) =>
  ['make', '--compression=zstd', `--store=${store}`, index, image] as const

export const casync: Rival = {
  programs: ['casync'],
  debianPackage: 'casync',
  async publish({ pair, published, run }) {
    for (const store of ['old.castr', 'new.castr']) {
      await rm(join(published, store), { recursive: true, force: true })
    }
    await run('casync', ...make('old.castr', 'old.caibx', pair.old.path))
    return run('casync', ...make('new.castr', 'new.caibx', pair.new.path))
  },
  async apply({ pair, published, run }, output) {
    const cost = await run(
      'casync',
      ...['extract', '--store=new.castr', `--seed=${pair.old.path}`, 'new.caibx', output],
    )
    return { ...cost, fetchedBytes: await newBytes(published) }
  },
}

/** The index, and the chunks that the old image has not. */
async function newBytes(published: string): Promise<number> {
  const old = new Set(await chunksOf(join(published, 'old.castr')))
  let bytes = (await stat(join(published, 'new.caibx'))).size
  for (const chunk of await chunksOf(join(published, 'new.castr'))) {
    if (!old.has(chunk)) bytes += (await stat(join(published, 'new.castr', chunk))).size
  }
  return bytes
}

async function chunksOf(store: string): Promise<readonly string[]> {
  return (await readdir(store, { recursive: true })).filter((path) => path.endsWith('.cacnk'))
}
