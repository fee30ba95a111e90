import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile, chmod } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { systemRandom } from '@ioex/node/base'
import { createVault, loadMasterKey } from '../custody/vault.ts'
import { createRateLimiter } from './rate.ts'

describe('the vault', () => {
  const vault = createVault({ random: systemRandom }, new Uint8Array(32).fill(1))
  const secret = new Uint8Array(32).fill(2)

  test('opens a secret in its own place only, and no changed one', () => {
    const sealed = vault.seal('0xaa', 'tuf-root', secret)
    assert.deepEqual(vault.unseal('0xAA', 'tuf-root', sealed), secret)
    assert.equal(Buffer.from(sealed).includes(secret), false)
    assert.notDeepEqual(vault.seal('0xaa', 'tuf-root', secret), sealed)
    const damaged = { code: 'secret-damaged', blame: 'local' }
    assert.throws(() => vault.unseal('0xbb', 'tuf-root', sealed), damaged)
    assert.throws(() => vault.unseal('0xaa', 'tuf-targets', sealed), damaged)
    assert.throws(() => vault.unseal('0xaa', 'tuf-root', sealed.subarray(1)), damaged)
    assert.throws(() => vault.unseal('0xaa', 'tuf-root', new Uint8Array()), damaged)
    const other = createVault({ random: systemRandom }, new Uint8Array(32).fill(3))
    assert.throws(() => other.unseal('0xaa', 'tuf-root', sealed), damaged)
  })

  test('makes its master key once, for its owner only, and refuses another kind of file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ioex-vault-'))
    try {
      const path = join(folder, 'master.key')
      const key = await loadMasterKey({ random: systemRandom }, path)
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      assert.deepEqual(await loadMasterKey({ random: systemRandom }, path), key)
      await chmod(path, 0o644)
      const invalid = { code: 'master-key-invalid' }
      await assert.rejects(loadMasterKey({ random: systemRandom }, path), invalid)
      await chmod(path, 0o600)
      await writeFile(path, 'not a key')
      await assert.rejects(loadMasterKey({ random: systemRandom }, path), invalid)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('a rate limit', () => {
  let nowMs = 0
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => Promise.resolve(),
    after: () => () => undefined,
  }

  test('lets a burst through, then as much as the rate gives, for each source apart', () => {
    const limiter = createRateLimiter({ clock }, { perSecond: 2, burst: 3 })
    assert.deepEqual(
      [1, 2, 3, 4].map(() => limiter.take('a')),
      [true, true, true, false],
    )
    assert.equal(limiter.take('b'), true)
    nowMs += 500
    assert.deepEqual([limiter.take('a'), limiter.take('a')], [true, false])
    assert.throws(() => limiter.demand('a'), { code: 'too-many-requests' })
    nowMs += 60_000
    assert.deepEqual(
      [1, 2, 3, 4].map(() => limiter.take('a')),
      [true, true, true, false],
    )
  })

  test('remembers no more sources than it may, and forgets the one not seen for longest', () => {
    const limiter = createRateLimiter({ clock }, { perSecond: 0.001, burst: 1 }, 2)
    assert.equal(limiter.take('a'), true)
    assert.equal(limiter.take('b'), true)
    assert.equal(limiter.isSpent('a'), true)
    assert.equal(limiter.take('c'), true)
    assert.equal(limiter.sources, 2)
    assert.equal(limiter.isSpent('a'), true)
  })
})
