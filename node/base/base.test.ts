import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  createBoundedQueue,
  fromHex,
  IoexError,
  type Random,
  shuffled,
  stopAll,
  systemClock,
  toHex,
  writeFileDurably,
} from './index.ts'

describe('a bounded queue', () => {
  test('makes the producer wait when it is full and lets it go on when there is room', async () => {
    const queue = createBoundedQueue<number>({ maxItems: 2 })
    await queue.push(1)
    await queue.push(2)
    let third = false
    const waiting = queue.push(3).then(() => (third = true))
    await new Promise((resume) => setImmediate(resume))
    assert.equal(third, false)
    assert.equal(await queue.next(), 1)
    await waiting
    assert.deepEqual([await queue.next(), await queue.next()], [2, 3])
  })

  test('counts weight, but lets an item heavier than all in alone', () => {
    const queue = createBoundedQueue<string>({
      maxItems: 9,
      maxWeight: 4,
      weigh: (text) => text.length,
    })
    assert.equal(queue.offer('far too heavy'), true)
    assert.equal(queue.offer('a'), false)
    assert.equal(queue.weight, 13)
  })

  test('hands out what is left after closing, then ends', async () => {
    const queue = createBoundedQueue<number>({ maxItems: 2 })
    queue.offer(1)
    queue.close()
    assert.deepEqual(await Array.fromAsync(queue), [1])
    await assert.rejects(queue.push(2), { code: 'queue-closed' })
  })

  test('passes the error it was closed with to whoever waits', async () => {
    const queue = createBoundedQueue<number>({ maxItems: 2 })
    const waiting = queue.next()
    queue.close(new IoexError('stream-broken', 'the stream broke', { blame: 'peer' }))
    await assert.rejects(waiting, { code: 'stream-broken', blame: 'peer' })
  })
})

describe('durable files', () => {
  test('replace the content, keep the mode and leave no temporary file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ioex-base-'))
    try {
      const path = join(folder, 'deep', 'state.json')
      await writeFileDurably(path, 'old', { mode: 0o600 })
      await Promise.all([
        writeFileDurably(path, 'new', { mode: 0o600 }),
        writeFileDurably(path, 'new', { mode: 0o600 }),
      ])
      assert.equal(await readFile(path, 'utf8'), 'new')
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      assert.deepEqual(await readdir(join(folder, 'deep')), ['state.json'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

test('hexadecimal goes both ways and refuses what is not', () => {
  assert.equal(toHex(new Uint8Array([0, 255])), '0x00ff')
  assert.deepEqual(fromHex('0x00fF'), new Uint8Array([0, 255]))
  for (const bad of ['00ff', '0x0', '0xzz', '']) assert.equal(fromHex(bad), undefined)
})

test('sleeping ends at once when it is aborted, with the reason of the signal', async () => {
  const reason = new Error('no longer needed')
  await assert.rejects(systemClock.sleep(60_000, { signal: AbortSignal.abort(reason) }), reason)
})

test('shuffling keeps every item and leaves the input alone', () => {
  const lowest: Random = { bytes: (length) => new Uint8Array(length), int: () => 0 }
  const items = [1, 2, 3, 4]
  assert.deepEqual(shuffled(items, lowest), [2, 3, 4, 1])
  assert.deepEqual(items, [1, 2, 3, 4])
})

test('stopping goes on when a part fails, and tells of the failure in the end', async () => {
  const stopped: string[] = []
  const part = (name: string, fails: boolean) => ({
    stop: () => {
      stopped.push(name)
      return fails ? Promise.reject(new Error(name)) : Promise.resolve()
    },
  })
  await assert.rejects(stopAll([part('a', true), part('b', false)]), AggregateError)
  assert.deepEqual(stopped, ['a', 'b'])
})
