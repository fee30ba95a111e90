import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type Outcome =
  | { readonly ok: true; readonly said: string }
  | { readonly ok: false; readonly lacks: string }

/**
 * Runs a program in a network namespace of its own, in which there is only loopback, set up as the shell lines
 * say. Needs user namespaces or root; says what it lacks.
 */
export async function inOwnNamespace(
  setUp: readonly string[],
  program: string,
  timeoutMs: number,
): Promise<Outcome> {
  const lines = ['ip link set lo up', ...setUp].join(' && ')
  const unshare = ['--user', '--map-root-user', '--net', 'sh', '-c']
  try {
    await run('unshare', [...unshare, lines], { timeout: 10_000 })
  } catch (thrown) {
    const error = thrown as { readonly stderr?: string; readonly message: string }
    return { ok: false, lacks: `no network namespace: ${error.stderr ?? error.message}` }
  }
  const { stdout } = await run(
    'unshare',
    [...unshare, `${lines} && exec "$0" "$1"`, process.execPath, program],
    { timeout: timeoutMs, killSignal: 'SIGKILL' },
  )
  return { ok: true, said: stdout }
}
