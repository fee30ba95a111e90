import { execFile } from 'node:child_process'
import { access, constants, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Result } from '@ioex/node/base'

const run = promisify(execFile)
/** A wheel or two from an index that answers; one that does not is not waited for. */
const INSTALL_TIMEOUT_MS = 120_000

/**
 * The Python of a virtual environment with these packages, made once and kept in the user's cache. The reason
 * says what is missing on this machine.
 */
export async function pythonWith(requirements: string): Promise<Result<string, string>> {
  const wanted = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const folder = join(cache, 'ioex', `python-${wanted.slice(0, 16)}`)
  const pythonOf = (environment: string) => join(environment, 'bin', 'python3')
  const isMade = await access(pythonOf(folder), constants.X_OK).then(
    () => true,
    () => false,
  )
  if (isMade) return { ok: true, value: pythonOf(folder) }
  const making = `${folder}.${process.pid}.new`
  await mkdir(join(cache, 'ioex'), { recursive: true })
  try {
    await run('python3', ['-m', 'venv', making])
  } catch {
    await rm(making, { recursive: true, force: true })
    return { ok: false, reason: 'python3 with its venv module is missing (Debian: python3-venv)' }
  }
  try {
    await run(
      pythonOf(making),
      ['-m', 'pip', 'install', '--quiet', '--retries', '1', '--requirement', requirements],
      { timeout: INSTALL_TIMEOUT_MS },
    )
  } catch (thrown) {
    await rm(making, { recursive: true, force: true })
    const { stderr = '' } = thrown as { readonly stderr?: string }
    const line = stderr.trim().split('\n').at(-1) ?? ''
    return { ok: false, reason: `pip could not install the packages: ${line}` }
  }
  // Under its name only when it is whole. Python finds its packages from where it lies, so it may be moved.
  await rename(making, folder)
  return { ok: true, value: pythonOf(folder) }
}
