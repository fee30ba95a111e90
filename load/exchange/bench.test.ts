/** The bench itself with two competitors and little content: figures, and nothing left behind. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'

const BENCH = join(import.meta.dirname, 'bench.ts')
const dir = await mkdtemp(join(tmpdir(), 'ioex-bench-test-'))
after(() => rm(dir, { recursive: true, force: true }))
const skip = process.platform === 'linux' ? false : 'the bench reads /proc'

const start = (...args: string[]) =>
  spawn(process.execPath, [BENCH, '--dir', dir, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })

interface Report {
  readonly rows: readonly {
    readonly name: string
    readonly mibPerSecond: number | null
    readonly cpuSecondsPerGiB: number | null
    readonly peakRssMiB: number | null
    readonly error?: string
  }[]
}

test('ours moves the content under receipts, and the figures are the last line', {
  skip,
}, async () => {
  const child = start('--mib', '4', '--runs', '2', '--only', 'ours-libp2p,helia-bitswap', '--json')
  const lines = await Array.fromAsync(createInterface(child.stdout))
  if (child.exitCode === null) await once(child, 'exit')
  assert.equal(child.exitCode, 0)
  const { rows } = JSON.parse(lines.at(-1) ?? '') as Report
  assert.deepEqual(
    rows.map(({ name, error }) => ({ name, error })),
    [
      { name: 'ours-libp2p', error: undefined },
      { name: 'helia-bitswap', error: undefined },
    ],
  )
  for (const { mibPerSecond, cpuSecondsPerGiB, peakRssMiB } of rows) {
    assert.ok((mibPerSecond ?? 0) > 0.1)
    assert.ok((cpuSecondsPerGiB ?? 0) > 1, 'hashing alone takes more')
    assert.ok((peakRssMiB ?? 0) > 50, 'a Node process has more')
  }
  assert.deepEqual(await readdir(dir), [])
})

test('a bench that is interrupted ends its processes and removes its files', { skip }, async () => {
  const child = start('--mib', '16', '--runs', '50', '--only', 'ours-libp2p')
  for await (const line of createInterface(child.stderr)) if (line.includes('run 1 of')) break
  const [folder = ''] = await readdir(dir)
  assert.notEqual(folder, '')
  // In the middle of the next run there are processes of it.
  while ((await processesOf(folder)).length === 0) continue
  child.kill('SIGINT')
  const [code] = (await once(child, 'exit')) as [number | null]
  assert.equal(code, 130)
  assert.deepEqual(await readdir(dir), [])
  while ((await processesOf(folder)).length > 0) continue
})

/** Those that were started with this folder in their arguments; one that is ending has none any more. */
async function processesOf(folder: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8')
      if (command.includes(folder)) found.push(pid)
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException
      if (code !== 'ENOENT' && code !== 'ESRCH') throw thrown
    }
  }
  return found
}
