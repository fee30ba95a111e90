import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MIB, systemClock } from '@ioex/node/base'
import { type HostileTask, hostileIdentity } from './hostile-process.ts'
import { createLab, isSmall, nextMessage, type SeedProcess, treeOf } from './lab.ts'

const CLIENTS = isSmall ? 60 : 200
/** Each process holds so many; a process per client would measure this machine, not the seed. */
const CLIENTS_PER_PROCESS = isSmall ? 20 : 50
const MAX_GROWTH_BYTES = 128 * MIB
const MAX_SLOWDOWN = 2
const HONEST_FETCHES = 3

const lab = await createLab()
after(() => lab.stop())

/** As many blocks as a stream may want at once, and a few more. */
const task = { name: 'hostile clients', chunks: 576, chunkBytes: 64 * 1024 }
const tree = treeOf(task)

test(
  `${CLIENTS} hostile clients cost a seed a bounded memory, and an honest one beside them little time`,
  {
    timeout: 280_000,
  },
  (t) => besideHostile(CLIENTS, 2, (text) => t.diagnostic(text)),
)

test(
  'clients that take every stream there is lock no honest one out',
  {
    timeout: 120_000,
  },
  (t) => besideHostile(60, 16, (text) => t.diagnostic(text)),
)

async function besideHostile(
  clients: number,
  streamsPerClient: number,
  note: (text: string) => void,
): Promise<void> {
  const admitted = Array.from({ length: clients }, (_, number) =>
    hostileIdentity(number).peerId.toString(),
  )
  const seed = await lab.seed(task, { admitted, execArgv: ['--expose-gc'] })
  const idleMs = await honestMs(seed)
  const before = await seed.figures({ collect: true })
  const attackers: ChildProcess[] = []
  for (let from = 0; from < clients; from += CLIENTS_PER_PROCESS) {
    const hostile: HostileTask = {
      from,
      to: Math.min(clients, from + CLIENTS_PER_PROCESS),
      vendorSeedHex: lab.vendorSeedHex,
      tree: task,
      server: seed.source.multiaddrs.map(String),
      serverId: seed.peerId,
      http: seed.source.http ?? '',
      passes: seed.passes,
      streamsPerClient,
    }
    const program = join(import.meta.dirname, 'hostile-process.ts')
    const child = fork(program, [JSON.stringify(hostile)])
    // They have machines of their own; here they would take the cores of those whom the test is about.
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
    attackers.push(child)
  }
  let peakBytes = 0
  const watching = new AbortController()
  const watch = async () => {
    while (!watching.signal.aborted) {
      peakBytes = Math.max(peakBytes, (await seed.figures()).rssBytes)
      await systemClock.sleep(250)
    }
  }
  try {
    await Promise.all(attackers.map((child) => nextMessage(child, 'attacking')))
    const watched = watch()
    let besideMs: number
    try {
      besideMs = await honestMs(seed)
    } finally {
      watching.abort()
      await watched
    }
    const grownBytes = peakBytes - before.rssBytes
    note(
      `RSS ${(before.rssBytes / MIB).toFixed(0)} MiB before, ${(peakBytes / MIB).toFixed(0)} at most; ` +
        `honest client ${idleMs.toFixed(0)} ms alone, ${besideMs.toFixed(0)} ms beside`,
    )
    assert.ok(grownBytes <= MAX_GROWTH_BYTES, `${(grownBytes / MIB).toFixed(0)} MiB more`)
    assert.ok(besideMs <= MAX_SLOWDOWN * idleMs, `${besideMs} ms instead of ${idleMs}`)
  } finally {
    for (const child of attackers) child.kill('SIGKILL')
    await seed.kill()
  }
}

/** Of a new honest device each time; the best, as whatever else this machine does only adds to it. */
async function honestMs(seed: SeedProcess): Promise<number> {
  const times: number[] = []
  for (let at = 0; at < HONEST_FETCHES; at++) {
    const fetched = await lab.fetch(tree, [seed])
    await lab.checkDisk(fetched, tree)
    times.push(fetched.ms)
  }
  return Math.min(...times)
}
