import { copyFile, mkdir, rename } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { asError, type Result } from '@ioex/node/base'
import { findProgram, isExecutable } from './find-program.ts'
import type { Rig } from './rig.ts'

/** As `load/kubo/go.mod` pins it. */
const VERSION = 'v0.43.1'
const MODULE = join(import.meta.dirname, '../kubo')
const PACKAGE = 'github.com/ipfs/kubo/cmd/ipfs'

/** The Kubo that was built before, or one that is built now. Another Kubo of PATH would be another competitor. */
export async function findKubo(
  rig: Pick<Rig, 'folder' | 'processes' | 'mayBuild' | 'say'>,
): Promise<Result<string, string>> {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const folder = join(cache, 'ioex', `kubo-${VERSION}`)
  const binary = join(folder, 'ipfs')
  if (await isExecutable(binary)) return { ok: true, value: binary }
  if (!rig.mayBuild) {
    return { ok: false, reason: 'not built; run npm run bench:exchange -- --build' }
  }
  const go = await findProgram('go')
  if (go === undefined) {
    return { ok: false, reason: 'not built: Go 1.26.5 or newer is needed for it (go.dev/dl)' }
  }
  rig.say(`building Kubo ${VERSION} with Go into ${folder} (once, about ten minutes)`)
  const built = join(rig.folder, 'ipfs')
  const building = rig.processes.start(
    go,
    ['build', '-trimpath', '-buildvcs=false', '-o', built, PACKAGE],
    { cwd: MODULE },
  )
  try {
    await building.finish()
  } catch (thrown) {
    throw new Error(`Kubo could not be built: ${asError(thrown).message}`, { cause: thrown })
  }
  // A copy that is broken off leaves no half a binary under the name.
  await mkdir(folder, { recursive: true })
  await copyFile(built, `${binary}.new`)
  await rename(`${binary}.new`, binary)
  return { ok: true, value: binary }
}
