import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Datastore, Key } from 'interface-datastore'
import { KIB, type Log, silentLog, utf8 } from '../base/index.ts'
import { createHints } from './hints.ts'
import { createDatastore, type Records, type Storage } from './index.ts'
import { createTrialClock, type TrialClock } from './trial-clock.ts'
import { using, withFolder } from './trial-storage.ts'

interface Parts {
  readonly storage: Storage
  readonly store: Datastore
  readonly clock: TrialClock
  /** What a crash at this moment would leave, in order. */
  left(prefix?: string): Promise<string[]>
}

async function withStore(run: (parts: Parts) => Promise<void>): Promise<void> {
  await withFolder(async (below) => {
    const clock = createTrialClock()
    const folder = join(below, 'store')
    let crashes = 0
    await using(folder, { clock }, (storage) =>
      run({
        storage,
        clock,
        store: createDatastore(storage, 'libp2p'),
        async left(prefix = '/') {
          const copy = join(below, `copy ${crashes++}`)
          await cp(folder, copy, { recursive: true })
          return using(copy, {}, (later) => shown(createDatastore(later, 'libp2p'), prefix))
        },
      }),
    )
  })
}

async function shown(store: Datastore, prefix = '/'): Promise<string[]> {
  const pairs = await Array.fromAsync(store.query({ prefix }))
  return pairs.map(({ key, value }) => `${key.toString()}=${Buffer.from(value).toString()}`)
}

const peer = (name: string | number) => new Key(`/peers/${name}`)

describe('what libp2p knows of its peers', () => {
  test('is written some seconds later, all together, and other keys at once', async () => {
    await withStore(async ({ store, clock, left }) => {
      await store.put(peer('b'), utf8('1'))
      await store.put(new Key('/dht/record/x'), utf8('2'))
      clock.pass(9_999)
      await store.put(peer('a'), utf8('3'))
      await store.put(peer('b'), utf8('4'))
      // Looking for something else has none of them written.
      assert.deepEqual(await shown(store, '/dht/'), ['/dht/record/x=2'])
      assert.deepEqual(await left(), ['/dht/record/x=2'])
      clock.pass(1)
      assert.deepEqual(await left(), ['/dht/record/x=2', '/peers/a=3', '/peers/b=4'])
      await store.delete(peer('a'))
      await store.delete(new Key('/dht/record/x'))
      assert.deepEqual(await left('/peers/'), ['/peers/a=3', '/peers/b=4'])
      assert.deepEqual(await left('/dht/'), [])
      clock.pass(10_000)
      assert.deepEqual(await left(), ['/peers/b=4'])
    })
  })

  test('is seen by every way of reading before it is written, the newest of it', async () => {
    await withStore(async ({ store, clock }) => {
      for (const name of ['c', 'a', 'e']) await store.put(peer(name), utf8('old'))
      clock.pass(10_000)
      await store.put(peer('b'), utf8('new'))
      await store.put(peer('a'), utf8('new'))
      await store.put(peer('d'), utf8('new'))
      await store.delete(peer('d'))
      await store.delete(peer('c'))
      assert.deepEqual(await store.get(peer('a')), utf8('new'))
      assert.deepEqual(await store.get(peer('e')), utf8('old'))
      assert.equal(await store.has(peer('b')), true)
      assert.equal(await store.has(peer('c')), false)
      await assert.rejects(async () => store.get(peer('d')), { name: 'NotFoundError' })
      const expected = ['/peers/a=new', '/peers/b=new', '/peers/e=old']
      assert.deepEqual(await shown(store, '/peers/'), expected)
      assert.deepEqual(await shown(store), expected)
      const keys = await Array.fromAsync(store.queryKeys({ prefix: '/pe' }), String)
      assert.deepEqual(keys, ['/peers/a', '/peers/b', '/peers/e'])
    })
  })

  test('may be changed while it is listed', async () => {
    await withStore(async ({ store }) => {
      for (let number = 100; number < 300; number++) await store.put(peer(number), utf8('old'))
      const seen: string[] = []
      for await (const { key, value } of store.query({ prefix: '/peers/' })) {
        seen.push(Buffer.from(value).toString())
        if (seen.length > 1) continue
        await store.put(peer(298), utf8('new'))
        await store.delete(peer(299))
        await store.delete(key)
      }
      assert.equal(seen.length, 199)
      assert.equal(seen.at(-1), 'new')
      assert.equal((await shown(store)).length, 198)
    })
  })

  test('is a copy: what the writer does with his bytes afterwards, or a reader, changes nothing', async () => {
    await withStore(async ({ store }) => {
      const mine = Buffer.from('1')
      await store.put(peer('a'), mine)
      mine[0] = 0
      ;(await store.get(peer('a')))[0] = 0
      assert.deepEqual(await store.get(peer('a')), utf8('1'))
    })
  })

  test('waits in bounds: many entries, or much in them, are written at once', async () => {
    await withStore(async ({ store, left }) => {
      for (let number = 0; number < 600; number++) await store.put(peer(number), utf8('small'))
      assert.equal((await left()).length, 512)
      for (let number = 0; number < 20; number++)
        await store.put(peer(`large ${number}`), new Uint8Array(60 * KIB))
      assert.ok((await left('/peers/large')).length >= 17)
      // The same one over and over is one.
      for (let times = 0; times < 600; times++) await store.put(peer('same'), utf8(`${times}`))
      assert.deepEqual(await left('/peers/same'), [])
    })
  })

  test('is written when the storage stops, and refused at the door when it could not be', async () => {
    await withStore(async ({ storage, store, clock }) => {
      const tooLarge = new Uint8Array(64 * KIB + 1)
      await assert.rejects(async () => store.put(peer('x'), tooLarge), { code: 'record-too-large' })
      await store.put(peer('a'), utf8('1'))
      await storage.stop()
      await assert.rejects(async () => store.put(peer('b'), utf8('2')), { code: 'storage-stopped' })
      clock.pass(60_000)
      await storage.start()
      assert.deepEqual(await shown(store), ['/peers/a=1'])
    })
  })

  test('takes part in a batch, which is refused as a whole', async () => {
    await withStore(async ({ store, left }) => {
      await store.put(peer('gone'), utf8('1'))
      const batch = store.batch()
      batch.put(new Key('/other'), utf8('2'))
      batch.put(peer('a'), utf8('3'))
      batch.delete(peer('gone'))
      await batch.commit()
      assert.deepEqual(await left(), ['/other=2'])
      assert.deepEqual(await shown(store), ['/other=2', '/peers/a=3'])
      const refused = store.batch()
      refused.put(new Key('/more'), utf8('4'))
      refused.put(peer('b'), new Uint8Array(65 * KIB))
      await assert.rejects(async () => refused.commit(), { code: 'record-too-large' })
      assert.equal(await store.has(new Key('/more')), false)
    })
  })

  test('is tried again when it cannot be written, and forgotten rather than piled up', async () => {
    await withStore(async ({ storage, clock }) => {
      const lost: unknown[] = []
      const log: Log = { ...silentLog, warn: ({ isLost }) => lost.push(isLost) }
      let isFull = true
      const transaction: Records['transaction'] = (run) => {
        if (isFull) throw new Error('the disk is full')
        return storage.records.transaction(run)
      }
      const hints = createHints({ records: { ...storage.records, transaction }, clock, log })
      hints.put('t', 'a', utf8('1'))
      clock.pass(20_000)
      assert.deepEqual([...hints.list('t')], [])
      assert.deepEqual(hints.get('t', 'a'), utf8('1'))
      assert.deepEqual(lost, [false, false, false])
      isFull = false
      clock.pass(10_000)
      assert.deepEqual(storage.records.get('t', 'a'), utf8('1'))
      isFull = true
      for (let number = 0; number < 600; number++) hints.put('t', `${number}`, utf8('2'))
      assert.deepEqual(lost.slice(3), [true])
      isFull = false
      hints.close()
      assert.equal([...storage.records.list('t')].length, 1 + 600 - 512)
    })
  })
})
