import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createDatastore } from './index.ts'
import { MAX_UNWRITTEN_HINTS } from './limits.ts'
import { numberedBlock, seededRandom, storageIn, using, withFolder } from './trial-storage.ts'

const WRITER = new URL('trial-writer.ts', import.meta.url).pathname

interface Writer {
  readonly child: ChildProcess
  readonly lines: string[]
  heard(line: (text: string) => boolean): Promise<void>
  kill(): Promise<void>
}

function startWriter(
  folder: string,
  first: number,
  how: 'put' | 'session' | 'hints' | 'hold',
): Writer {
  const child = spawn(process.execPath, [WRITER, folder, String(first), how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const closed = once(child.stdout, 'close')
  const lines: string[] = []
  let rest = ''
  let wake = () => {}
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    wake()
  })
  return {
    child,
    lines,
    async heard(line) {
      while (!lines.some(line)) {
        assert.equal(child.exitCode, null, 'the writer ended by itself')
        await Promise.race([new Promise<void>((resume) => (wake = resume)), exited])
      }
    },
    async kill() {
      child.kill('SIGKILL')
      await Promise.all([exited, closed])
    },
  }
}

function storedNumbers(lines: readonly string[]): number[] {
  return lines.flatMap((line) => (line.startsWith('stored ') ? [Number(line.slice(7))] : []))
}

describe('a process that is killed', () => {
  /** Ten writers in one folder, one after the other, each killed in mid-write and its blocks looked for. */
  async function killTenTimes(folder: string, how: 'put' | 'session', seed: number) {
    const random = seededRandom(seed)
    const acknowledged: number[] = []
    for (let round = 0; round < 10; round++) {
      const writer = startWriter(folder, 1 + round * 1_000_000, how)
      const enough = 1 + random.int(60)
      try {
        await writer.heard(() => storedNumbers(writer.lines).length >= enough)
      } finally {
        await writer.kill()
      }
      acknowledged.push(...storedNumbers(writer.lines))
      await using(folder, {}, async (storage) => {
        // Only what a session names outlives the collection.
        if (how === 'session') await storage.collectGarbage()
        for (const number of acknowledged) {
          const { cid, bytes } = numberedBlock(number)
          assert.deepEqual(await storage.blocks.get(cid), bytes, `${how} ${number}`)
        }
      })
    }
    return acknowledged.length
  }

  test('has lost no block that it acknowledged, 20 times over, sessions and collections among them', async (t) => {
    await withFolder(async (folder) => {
      const counts = await Promise.all([
        killTenTimes(join(folder, 'puts'), 'put', 1),
        killTenTimes(join(folder, 'sessions'), 'session', 2),
      ])
      t.diagnostic(`${counts.join(' and ')} acknowledged blocks, 20 kills`)
    })
  })
})

test('a process that is killed loses the hints that waited to be written, and nothing else', async () => {
  await withFolder(async (folder) => {
    const waiting = 7
    const writer = startWriter(folder, waiting, 'hints')
    try {
      await writer.heard((line) => line === 'written')
    } finally {
      await writer.kill()
    }
    await using(folder, {}, async (storage) => {
      const store = createDatastore(storage, 'libp2p')
      const count = async (prefix: string) =>
        (await Array.fromAsync(store.query({ prefix }))).length
      assert.equal(await count('/peers/'), 2 * MAX_UNWRITTEN_HINTS)
      assert.equal(
        await count('/dht/record/'),
        Math.ceil((2 * MAX_UNWRITTEN_HINTS + waiting) / 100),
      )
    })
  })
})

describe('a folder that another process has open', () => {
  test('is refused at once with storage-in-use, and is free the moment the other one is killed', async () => {
    await withFolder(async (folder) => {
      const holder = startWriter(folder, 0, 'hold')
      try {
        await holder.heard((line) => line === 'started')
        await assert.rejects(storageIn(folder).start(), (thrown: Error & { code?: string }) => {
          assert.equal(thrown.code, 'storage-in-use')
          assert.match(thrown.message, new RegExp(`process ${holder.child.pid}`))
          return true
        })
      } finally {
        await holder.kill()
      }
      await using(folder, {}, async () => undefined)
    })
  })

  test('may name a living process as its holder, since numbers are given out again', async () => {
    await withFolder(async (folder) => {
      await using(folder, {}, async () => undefined)
      await writeFile(join(folder, 'holder'), `process ${process.pid}`)
      await using(folder, {}, async () => undefined)
    })
  })

  test('is refused to a second storage of the same process too', async () => {
    await withFolder(async (folder) => {
      await using(folder, {}, async () => {
        await assert.rejects(storageIn(folder).start(), { code: 'storage-in-use' })
      })
    })
  })
})
