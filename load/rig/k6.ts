import { execFile, spawn } from 'node:child_process'
import { access, mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** npm's package of that name is empty; the real k6 is a Go program, built once with this version. */
const K6_MODULE = 'go.k6.io/k6@v1.8.1'

/** The k6 of PATH, the one built before, or one that is built now with Go (about two minutes). */
export async function findK6(say: (line: string) => void): Promise<string> {
  const inPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'k6'))
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'ioex', 'k6-v1.8.1')
  for (const candidate of [...inPath, join(cache, 'k6')]) {
    if (await isExecutable(candidate)) return candidate
  }
  say(`k6 is not in PATH; building ${K6_MODULE} with Go into ${cache} (once, about two minutes)`)
  await mkdir(cache, { recursive: true })
  try {
    await run('go', ['install', K6_MODULE], { env: { ...process.env, GOBIN: cache } })
  } catch (thrown) {
    throw new Error('k6 could not be built; install k6 1.8 or Go 1.24 and newer, and try again', {
      cause: thrown,
    })
  }
  return join(cache, 'k6')
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, 1)
    return true
  } catch {
    // Not there, or not ours to run: the next candidate.
    return false
  }
}

/** Runs one script; resolves to k6's exit code, which is 99 when a threshold did not hold. */
export function runScript(
  k6: string,
  script: string,
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const options = ['run', '--quiet', '--no-usage-report', '--address', '127.0.0.1:0', script]
  const child = spawn(k6, options, { stdio: 'inherit', env: { ...process.env, ...environment } })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}
