/** Chunks in one file behind a header that lists them; the device asks for ranges of it over HTTP. */
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { serveRanges } from './range-server.ts'
import type { Rival } from './types.ts'
import { together } from './measured.ts'

const FILE = 'new.zck'

export const zchunk: Rival = {
  programs: ['zck', 'zckdl', 'unzck'],
  debianPackage: 'zchunk',
  async publish({ pair, run }) {
    await run('zck', '-o', 'old.zck', pair.old.path)
    return run('zck', '-o', FILE, pair.new.path)
  },
  async apply({ published, run }, output) {
    // zckdl writes to the name of what it asks for, so what is served has another.
    const served = await serveRanges(join(published, FILE))
    try {
      const fetching = await run('zckdl', '-q', '-s', 'old.zck', `${served.url}/fetched.zck`)
      const unpacking = await run('unzck', 'fetched.zck')
      await copyFile(join(published, 'fetched'), output)
      return { ...together(fetching, unpacking), fetchedBytes: served.sentBytes() }
    } finally {
      await served.close()
      for (const file of ['fetched.zck', 'fetched']) {
        await rm(join(published, file), { force: true })
      }
    }
  },
}
