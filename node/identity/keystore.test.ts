import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { codeOf, utf8 } from '../base/index.ts'
import {
  changeNospam,
  createKeystore,
  decodeContactAddress,
  keccak256,
  openKeystore,
} from './index.ts'

const folder = await mkdtemp(join(tmpdir(), 'ioex-keystore-'))
after(() => rm(folder, { recursive: true }))
let count = 0
const newPath = () => join(folder, `${count++}.json`)
const seed = keccak256(utf8('keystore test'))
interface SealedFile {
  readonly sealed: string
  readonly nonce: string
  readonly scrypt: { readonly salt: string }
}
const readSealed = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as SealedFile
const passphrase = 'correct horse battery'

test('a keystore gives back who was put in, and its file shows nothing of it', async () => {
  const path = newPath()
  const made = await createKeystore(path, { passphrase, seed })
  const opened = await openKeystore(path, { passphrase })
  assert.equal(opened.identity.evmAddress, made.identity.evmAddress)
  assert.equal(opened.contactAddress, made.contactAddress)
  assert.deepEqual(opened.revealSeed(), seed)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const text = await readFile(path, 'utf8')
  assert.ok(!text.includes(seed.toHex()))
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.includes('.new') || name.includes('.tmp')),
    [],
  )
})

test('a wrong passphrase is refused, and no error holds passphrase or seed', async () => {
  const path = newPath()
  await createKeystore(path, { passphrase, seed })
  for (const wrong of ['correct horse', '', undefined]) {
    const refusal: unknown = await openKeystore(path, { passphrase: wrong }).catch(
      (thrown: unknown) => thrown,
    )
    assert.equal(codeOf(refusal), 'passphrase-wrong')
    const text = inspect(refusal, { depth: 9 })
    assert.ok(!text.includes('horse') && !text.includes(seed.toHex()))
  }
})

test('the same passphrase typed on another keyboard (composed or decomposed letters) opens it', async () => {
  const path = newPath()
  await createKeystore(path, { passphrase: 'Stra\u00dfe \u00e9', seed })
  await openKeystore(path, { passphrase: 'Stra\u00dfe e\u0301' })
})

test('a keystore is never overwritten, also not by two that start at once', async () => {
  const path = newPath()
  const options = { passphrase: undefined }
  const seeds = [keccak256(utf8('one')), keccak256(utf8('two'))]
  const made = await Promise.allSettled(
    seeds.map((one) => createKeystore(path, { ...options, seed: one })),
  )
  const winners = made.filter((one) => one.status === 'fulfilled')
  assert.equal(winners.length, 1)
  const loser = made.find((one) => one.status === 'rejected')
  assert.equal(codeOf(loser?.reason), 'keystore-exists')
  const opened = await openKeystore(path, options)
  assert.equal(opened.identity.evmAddress, winners[0]?.value.identity.evmAddress)
})

test('a missing keystore says so', async () => {
  await assert.rejects(openKeystore(newPath(), { passphrase }), { code: 'keystore-missing' })
})

test('any changed byte of a sealed keystore is noticed', async () => {
  const path = newPath()
  await createKeystore(path, { passphrase, seed })
  const content = await readSealed(path)
  const flip = (hex: string) => (hex[0] === '0' ? '1' : '0') + hex.slice(1)
  for (const changed of [
    { ...content, sealed: flip(content.sealed) },
    { ...content, nonce: flip(content.nonce) },
    { ...content, scrypt: { ...content.scrypt, salt: flip(content.scrypt.salt) } },
  ]) {
    await writeFile(path, JSON.stringify(changed))
    await assert.rejects(openKeystore(path, { passphrase }), { code: 'passphrase-wrong' })
  }
})

test('a file that is no keystore, or asks for much memory, is refused before any work', async () => {
  const path = newPath()
  await createKeystore(path, { passphrase, seed })
  const content = await readSealed(path)
  const withScrypt = (change: object) =>
    JSON.stringify({ ...content, scrypt: { ...content.scrypt, ...change } })
  for (const bad of [
    '',
    '{',
    '[]',
    'null',
    'x'.repeat(100_000),
    withScrypt({ n: 2 ** 30 }),
    withScrypt({ n: 100_000 }),
    withScrypt({ r: 1024 }),
    withScrypt({ p: 1_000_000 }),
    withScrypt({ extra: 1 }),
    JSON.stringify({ ...content, version: 2 }),
    JSON.stringify({ ...content, extra: true }),
    JSON.stringify({ ...content, sealed: content.sealed.slice(2) }),
  ]) {
    await writeFile(path, bad)
    const before = performance.now()
    await assert.rejects(openKeystore(path, { passphrase }), { code: 'keystore-damaged' })
    assert.ok(performance.now() - before < 250, 'refused without deriving a key')
  }
})

test('an unattended keystore opens without a passphrase, while only its owner can read it', async () => {
  const path = newPath()
  const made = await createKeystore(path, { passphrase: undefined, seed })
  assert.equal(made.protection, 'file-mode')
  const opened = await openKeystore(path, { passphrase: undefined })
  assert.equal(opened.identity.evmAddress, made.identity.evmAddress)
  assert.match(await readFile(path, 'utf8'), /"protection": "file-mode"/)
  for (const mode of [0o640, 0o604, 0o620]) {
    await chmod(path, mode)
    await assert.rejects(openKeystore(path, { passphrase: undefined }), {
      code: 'keystore-exposed',
    })
  }
})

test('who gives a passphrase does not get a keystore that has none: it may have been swapped', async () => {
  const path = newPath()
  await createKeystore(path, { passphrase: undefined, seed })
  await assert.rejects(openKeystore(path, { passphrase }), { code: 'passphrase-wrong' })
})

test('an empty passphrase is refused when a keystore is made', async () => {
  const path = newPath()
  await assert.rejects(createKeystore(path, { passphrase: '', seed }), {
    code: 'passphrase-wrong',
  })
  await assert.rejects(openKeystore(path, { passphrase }), { code: 'keystore-missing' })
})

test('a new nospam makes a new contact address for the same person', async () => {
  const path = newPath()
  const made = await createKeystore(path, { passphrase: undefined, seed })
  const changed = await changeNospam(path, { passphrase: undefined })
  assert.notEqual(changed.contactAddress, made.contactAddress)
  const opened = await openKeystore(path, { passphrase: undefined })
  assert.equal(opened.contactAddress, changed.contactAddress)
  const decoded = decodeContactAddress(opened.contactAddress)
  assert.ok(decoded.peerId.equals(made.identity.peerId))
  assert.deepEqual(decoded.nospam, opened.nospam)
  const chosen = await changeNospam(path, {
    passphrase: undefined,
    nospam: Uint8Array.of(9, 8, 7, 6),
  })
  assert.deepEqual(chosen.nospam, Uint8Array.of(9, 8, 7, 6))
})

test('a node restored from its seed has its first contact address again', async () => {
  const first = await createKeystore(newPath(), { passphrase: undefined, seed })
  const second = await createKeystore(newPath(), { passphrase: undefined, seed })
  assert.equal(second.contactAddress, first.contactAddress)
})
