import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Key } from 'interface-datastore'
import { KIB, utf8 } from '../base/index.ts'
import { createDatastore, createHeliaBlockstore, MAX_BLOCK_BYTES } from './index.ts'
import { block, storageIn, using, withFolder, withStorage } from './trial-storage.ts'

describe('records', () => {
  test('come back after a restart, in the order of their keys, table by table', async () => {
    await withFolder(async (folder) => {
      await using(folder, {}, async ({ records }) => {
        for (let n = 199; n >= 0; n--)
          records.put('orders', `key ${String(n).padStart(3, '0')}`, utf8(`${n}`))
        records.put('orders', 'key 007', utf8('changed'))
        records.put('friends', 'key 007', utf8('other table'))
        records.delete('orders', 'key 009')
      })
      await using(folder, {}, async ({ records }) => {
        const keys = Array.from(records.list('orders'), ({ key }) => key)
        assert.equal(keys.length, 199)
        assert.deepEqual(keys, keys.toSorted())
        assert.deepEqual(records.get('orders', 'key 007'), utf8('changed'))
        assert.equal(records.get('orders', 'key 009'), undefined)
        assert.equal(records.get('orders', 'key 000')?.constructor, Uint8Array)
        assert.equal([...records.list('friends')].length, 1)
        assert.deepEqual([...records.list('nobody')], [])
      })
    })
  })

  test('may be changed while they are listed', async () => {
    await withStorage({}, async ({ records }) => {
      records.transaction(() => {
        for (let n = 0; n < 300; n++) records.put('t', `k${1000 + n}`, utf8('v'))
        let seen = 0
        for (const { key } of records.list('t')) {
          records.delete('t', key)
          if (seen % 50 === 0) assert.equal([...records.list('t')].length, 299 - seen)
          seen++
        }
        assert.equal(seen, 300)
      })
    })
  })

  test('change all or nothing in a transaction, and a transaction within one is undone by itself', async () => {
    await withStorage({}, async ({ records }) => {
      const boom = new Error('boom')
      const fail = () => {
        throw boom
      }
      assert.throws(
        () =>
          records.transaction(() => {
            records.put('t', 'a', utf8('1'))
            fail()
          }),
        boom,
      )
      assert.equal(records.get('t', 'a'), undefined)
      const result = records.transaction(() => {
        records.put('t', 'a', utf8('1'))
        assert.throws(
          () =>
            records.transaction(() => {
              records.put('t', 'b', utf8('2'))
              fail()
            }),
          boom,
        )
        return 'done'
      })
      assert.equal(result, 'done')
      assert.deepEqual(records.get('t', 'a'), utf8('1'))
      assert.equal(records.get('t', 'b'), undefined)
      assert.throws(
        () => records.transaction(async () => records.put('t', 'c', utf8('3'))),
        TypeError,
      )
      assert.equal(records.get('t', 'c'), undefined)
    })
  })

  test('are refused when they are too large or their names cannot be kept as they are', async () => {
    await withStorage({}, async ({ records }) => {
      records.put('t', 'k', new Uint8Array(64 * KIB))
      assert.equal(records.get('t', 'k')?.byteLength, 64 * KIB)
      const large = () => records.put('t', 'k', new Uint8Array(64 * KIB + 1))
      assert.throws(large, { code: 'record-too-large', blame: 'caller' })
      assert.throws(() => records.put('t', 'k'.repeat(1025), utf8('')), {
        code: 'record-too-large',
      })
      for (const key of ['\ud800', 'a\0b'])
        assert.throws(() => records.put('t', key, utf8('')), { code: 'record-malformed' })
    })
  })

  test('tell of a database that is damaged, and leave it as it is', async () => {
    await withFolder(async (folder) => {
      await using(folder, {}, async () => undefined)
      await writeFile(
        join(folder, 'records.sqlite'),
        'this is no database, and long enough'.repeat(99),
      )
      await assert.rejects(storageIn(folder).start(), { code: 'storage-damaged' })
    })
  })
})

describe('the datastore for libp2p', () => {
  test('does what interface-datastore asks, in a table of its own', async () => {
    await withStorage({}, async (storage) => {
      const peers = createDatastore(storage, 'peers')
      const other = createDatastore(storage, 'dht')
      const [a, b, c] = [new Key('/peers/a'), new Key('/peers/b'), new Key('/other/c')]
      await peers.put(a, utf8('1'))
      const batch = peers.batch()
      batch.put(b, utf8('2'))
      batch.put(c, utf8('3'))
      batch.delete(a)
      await batch.commit()
      assert.equal(await peers.has(a), false)
      assert.deepEqual(await peers.get(b), utf8('2'))
      await assert.rejects(async () => peers.get(a), { name: 'NotFoundError' })
      assert.equal(await other.has(b), false)
      const query = await Array.fromAsync(peers.query({ prefix: '/peers' }))
      assert.deepEqual(
        query.map(({ key, value }) => [key.toString(), value]),
        [['/peers/b', utf8('2')]],
      )
      assert.equal((await Array.fromAsync(peers.queryKeys({}))).length, 2)
      await peers.delete(b)
      assert.equal(await peers.has(b), false)
    })
  })

  test('commits a batch all or nothing', async () => {
    await withStorage({}, async (storage) => {
      const store = createDatastore(storage, 'peers')
      const batch = store.batch()
      batch.put(new Key('/a'), utf8('1'))
      batch.put(new Key('/b'), new Uint8Array(65 * KIB))
      await assert.rejects(async () => batch.commit(), { code: 'record-too-large' })
      assert.equal(await store.has(new Key('/a')), false)
    })
  })
})

describe('the blockstore for Helia', () => {
  test('does what interface-blockstore asks: pieces in, a generator out, NotFoundError', async () => {
    await withStorage({}, async ({ blocks }) => {
      const store = createHeliaBlockstore(blocks)
      const [one, two, three] = [block('one'), block('two'), block('three')]
      await store.put(
        one.cid,
        (async function* () {
          yield utf8('o')
          yield utf8('ne')
        })(),
      )
      assert.deepEqual(await Array.fromAsync(store.get(one.cid)), [one.bytes])
      const put = await Array.fromAsync(store.putMany([two, three]), String)
      assert.deepEqual(put, [String(two.cid), String(three.cid)])
      assert.equal(await store.has(three.cid), true)
      await assert.rejects(Array.fromAsync(store.get(block('absent').cid)), {
        name: 'NotFoundError',
      })
      const many = await Array.fromAsync(store.getMany([one.cid, two.cid]))
      assert.equal(many.length, 2)
    })
  })

  test('stops a source that never ends, and leaves deleting to our garbage collection', async () => {
    await withStorage({}, async ({ blocks }) => {
      const store = createHeliaBlockstore(blocks)
      const endless = (function* () {
        for (;;) yield new Uint8Array(MAX_BLOCK_BYTES / 2)
      })()
      await assert.rejects(async () => store.put(block('x').cid, endless), {
        code: 'block-too-large',
      })
      await assert.rejects(async () => store.delete(block('x').cid), {
        code: 'not-by-helia',
      })
      assert.throws(() => store.getAll(), { code: 'not-by-helia' })
    })
  })
})
