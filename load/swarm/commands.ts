import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** System tools answer at once; one that does not is stuck. */
const COMMAND_WITHIN_MS = 20_000

/** Runs a program to its end; throws with what it said on standard error. */
export async function command(program: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(program, [...args], { timeout: COMMAND_WITHIN_MS })
    return stdout
  } catch (thrown) {
    const said = thrown instanceof Error && 'stderr' in thrown ? String(thrown.stderr).trim() : ''
    throw new Error(`${program} ${args.join(' ')}: ${said === '' ? String(thrown) : said}`, {
      cause: thrown,
    })
  }
}

/** Tools of administrators are not in everybody's PATH. */
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']

export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of FOLDERS) {
    const path = join(folder, name)
    const isThere = await access(path, 1).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return undefined
}
