import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { inspect, promisify } from 'node:util'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption'
import { systemRandom, utf8 } from '../base/index.ts'
import {
  createIdentity,
  curveBackend,
  decodeContactAddress,
  encodeContactAddress,
  evmAddressOfPeerId,
  evmAddressOfPublicKey,
  generateSeed,
  keccak256,
  parseEvmAddress,
  peerIdOfPublicKey,
  phraseToSeed,
  recoverMessageSigner,
  recoverSigner,
  seedToPhrase,
} from './index.ts'
import { curve } from './curve.ts'
import { pureCurve } from './curve-pure.ts'

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const seedOf = (text: string) => keccak256(utf8(text))
const anna = createIdentity(seedOf('anna'))
const bert = createIdentity(seedOf('bert'))

test('the same seed always gives the same keys, recorded here so that nobody changes who everybody is', () => {
  const again = createIdentity(seedOf('anna'))
  assert.equal(again.evmAddress, anna.evmAddress)
  assert.equal(again.ageIdentity, anna.ageIdentity)
  assert.deepEqual(again.driveSecret, anna.driveSecret)
  assert.deepEqual(
    {
      peerId: anna.peerId.toString(),
      evmAddress: anna.evmAddress,
      ageRecipient: anna.ageRecipient,
      drive: keccak256(anna.driveSecret).toHex(),
    },
    {
      peerId: '16Uiu2HAkwnSiCFcPpaaBTdZBR5o5msVB8GBYjHv2N7oEbMHZPb9Z',
      evmAddress: '0x67002b28d0c2ce3318ade65152a3ec311b888a13',
      ageRecipient: 'age1fuxv5w895fxp2lu44muhhlutk8n494k0zdrftkkccud6z4ve05vq5sqcc2',
      drive: '15c126e568cd03e86d47d8954104f2229916c93e5ad0eb83ca97bc0faa834bf3',
    },
  )
  assert.notEqual(bert.evmAddress, anna.evmAddress)
})

test('PeerId, public key and chain address of an identity are one key', () => {
  assert.equal(evmAddressOfPublicKey(anna.publicKey), anna.evmAddress)
  assert.equal(evmAddressOfPeerId(anna.peerId), anna.evmAddress)
  assert.ok(peerIdOfPublicKey(anna.publicKey).equals(anna.peerId))
  assert.ok(peerIdFromPrivateKey(anna.privateKey).equals(anna.peerId))
})

test('keccak256 is the hash of the chain, not SHA-3', () => {
  const empty = 'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'
  assert.equal(keccak256(new Uint8Array()).toHex(), empty)
  for (const length of [1, 135, 136, 137, 1000]) {
    const bytes = new Uint8Array(length).fill(length)
    assert.deepEqual(keccak256(bytes), keccak_256(bytes))
  }
})

test('a known private key gives the address that every wallet shows for it', () => {
  const generator = Uint8Array.fromHex(
    '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
  )
  assert.equal(evmAddressOfPublicKey(generator), '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf')
})

test('a PeerId of another kind of key has no chain address', async () => {
  const stranger = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  assert.equal(evmAddressOfPeerId(stranger), undefined)
})

test('what is no public key is refused', () => {
  for (const bytes of [new Uint8Array(33), new Uint8Array(32), new Uint8Array(33).fill(5)]) {
    assert.throws(() => evmAddressOfPublicKey(bytes), { code: 'key-invalid' })
    assert.throws(() => peerIdOfPublicKey(bytes), { code: 'key-invalid' })
  }
})

test('what is sealed to the recipient is opened by the identity with the age package', async () => {
  assert.equal(await identityToRecipient(anna.ageIdentity), anna.ageRecipient)
  const encrypter = new Encrypter()
  encrypter.addRecipient(anna.ageRecipient)
  const sealed = await encrypter.encrypt('release key')
  const decrypter = new Decrypter()
  decrypter.addIdentity(anna.ageIdentity)
  assert.equal(await decrypter.decrypt(sealed, 'text'), 'release key')
  const other = new Decrypter()
  other.addIdentity(bert.ageIdentity)
  await assert.rejects(other.decrypt(sealed, 'text'))
})

test('neither console nor JSON nor an error shows a secret of an identity', () => {
  const shown = inspect(anna, { depth: 9, showHidden: true }) + JSON.stringify(anna)
  assert.ok(!shown.includes('AGE-SECRET-KEY'))
  for (const secret of [anna.driveSecret, anna.privateKey.raw]) {
    assert.ok(!shown.includes(Buffer.from(secret).toString('hex')))
    assert.ok(!shown.includes([...secret].slice(0, 8).join(', ')))
    assert.ok(!shown.includes([...secret].slice(0, 8).join(',')))
  }
})

test('a seed of another length is refused', () => {
  assert.throws(() => createIdentity(new Uint8Array(31)), { code: 'key-invalid' })
  assert.equal(generateSeed(systemRandom).byteLength, 32)
})

test('a signature names its signer, and only for its digest', () => {
  const digest = seedOf('a digest')
  const signature = anna.signDigest(digest)
  assert.equal(signature.byteLength, 65)
  assert.equal(recoverSigner(digest, signature), anna.evmAddress)
  assert.notEqual(recoverSigner(seedOf('another'), signature), anna.evmAddress)
})

test('the second form of a signature, with s in the upper half, is nobody’s', () => {
  const digest = seedOf('malleable')
  const signature = anna.signDigest(digest)
  const high = signature.slice()
  const s = ORDER - BigInt(`0x${signature.subarray(32, 64).toHex()}`)
  high.set(Uint8Array.fromHex(s.toString(16).padStart(64, '0')), 32)
  high[64] = signature[64] === 27 ? 28 : 27
  // The curve itself takes it: without our own check it would count as a second, valid signature.
  assert.deepEqual(
    curve.recover(digest, high.subarray(0, 64), (high[64] ?? 0) - 27),
    curve.recover(digest, signature.subarray(0, 64), (signature[64] ?? 0) - 27),
  )
  assert.equal(recoverSigner(digest, high), undefined)
})

test('malformed signatures are nobody’s, and nothing is thrown', () => {
  const digest = seedOf('malformed')
  const signature = anna.signDigest(digest)
  const withV = (v: number) => Uint8Array.from([...signature.subarray(0, 64), v])
  const zeroR = signature.slice().fill(0, 0, 32)
  const zeroS = signature.slice().fill(0, 32, 64)
  const hugeR = signature.slice().fill(255, 0, 32)
  for (const bad of [
    new Uint8Array(),
    signature.subarray(0, 64),
    Uint8Array.from([...signature, 0]),
    withV(0),
    withV(1),
    withV(29),
    withV(255),
    zeroR,
    zeroS,
    hugeR,
    new Uint8Array(65),
  ]) {
    assert.equal(recoverSigner(digest, bad), undefined)
  }
  assert.equal(recoverSigner(digest.subarray(1), signature), undefined)
})

test('a signature for one purpose is none for another', () => {
  const message = utf8('let me in')
  const signature = anna.signMessage('pairing', message)
  assert.equal(recoverMessageSigner('pairing', message, signature), anna.evmAddress)
  assert.notEqual(recoverMessageSigner('session', message, signature), anna.evmAddress)
  // The purpose cannot be continued into the message.
  assert.notEqual(recoverMessageSigner('pairin', utf8('glet me in'), signature), anna.evmAddress)
  assert.throws(() => anna.signMessage('with\0zero', message), { code: 'key-invalid' })
})

test('where the package has a prebuilt addon it is in use; elsewhere a warning says how slow it is', () => {
  const prebuilt = ['linux-x64', 'darwin-arm64', 'win32-x64']
  if (prebuilt.includes(`${process.platform}-${process.arch}`)) {
    assert.deepEqual(curveBackend, { kind: 'native', warning: undefined })
  } else {
    assert.equal(curveBackend.kind, 'pure')
    assert.match(curveBackend.warning ?? '', /slower/)
  }
})

test('a process on a platform without the addon starts, warns, and signs the same', async () => {
  const withoutAddon = `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier === 'secp256k1/bindings') throw new Error('No native build was found')
        return next(specifier, context)
      },
    })`)}`
  const program = `
    import { createIdentity, curveBackend } from ${JSON.stringify(new URL('index.ts', import.meta.url))}
    const signature = createIdentity(new Uint8Array(32)).signDigest(new Uint8Array(32).fill(9))
    console.log(JSON.stringify({ ...curveBackend, signature: signature.toHex() }))`
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--import',
    withoutAddon,
    '--input-type=module',
    '--eval',
    program,
  ])
  const answer = JSON.parse(stdout) as Record<string, string>
  assert.equal(answer['kind'], 'pure')
  assert.match(answer['warning'] ?? '', /slower.*No native build/)
  const here = createIdentity(new Uint8Array(32)).signDigest(new Uint8Array(32).fill(9))
  assert.equal(answer['signature'], here.toHex())
})

test('the implementation for platforms without a prebuild gives the same answers', () => {
  for (let round = 0; round < 20; round++) {
    const key = seedOf(`key ${round}`)
    const digest = seedOf(`digest ${round}`)
    const native = curve.sign(digest, key)
    const pure = pureCurve.sign(digest, key)
    assert.deepEqual(pure.signature, native.signature)
    assert.equal(pure.recoveryId, native.recoveryId)
    assert.deepEqual(pureCurve.publicKeyOf(key), curve.publicKeyOf(key))
    const other = curve.publicKeyOf(new Uint8Array(32).fill(7))
    assert.deepEqual(pureCurve.agree(key, other), curve.agree(key, other))
    assert.equal(pureCurve.agree(key, new Uint8Array(33)), curve.agree(key, new Uint8Array(33)))
    const recovered = curve.recover(digest, native.signature, native.recoveryId)
    assert.deepEqual(pureCurve.recover(digest, native.signature, native.recoveryId), recovered)
    assert.deepEqual(pureCurve.uncompressed(curve.publicKeyOf(key)), recovered)
  }
  const zero = new Uint8Array(64)
  const digest = seedOf('zero')
  for (const one of [curve, pureCurve]) {
    assert.equal(one.recover(digest, zero, 0), undefined)
    assert.equal(one.uncompressed(new Uint8Array(33)), undefined)
    assert.equal(one.isPrivateKey(new Uint8Array(32)), false)
    assert.equal(one.isPrivateKey(new Uint8Array(32).fill(255)), false)
  }
})

test('24 words give the seed back, however they are spaced and written', () => {
  const seed = generateSeed(systemRandom)
  const phrase = seedToPhrase(seed)
  assert.equal(phrase.split(' ').length, 24)
  assert.deepEqual(phraseToSeed(phrase), seed)
  assert.deepEqual(phraseToSeed(`  ${phrase.toUpperCase().replaceAll(' ', ' \n ')} `), seed)
  // The published vector of BIP-39 for 32 zero bytes.
  assert.equal(seedToPhrase(new Uint8Array(32)), `${'abandon '.repeat(23)}art`)
})

test('a wrong phrase is refused with the place of the wrong word, and without any word', () => {
  const words = seedToPhrase(seedOf('phrase')).split(' ')
  const refusal = (phrase: string) => {
    try {
      phraseToSeed(phrase)
    } catch (thrown) {
      const text = inspect(thrown, { depth: 5, showHidden: true })
      const quoted = words.filter((word) => word.length > 4 && text.includes(` ${word} `))
      assert.deepEqual(quoted, [])
      assert.ok(!text.includes('teh'))
      return thrown as { code: string; message: string }
    }
    return assert.fail('the phrase was taken')
  }
  const misspelt = refusal(words.with(6, 'teh').join(' '))
  assert.equal(misspelt.code, 'phrase-invalid')
  assert.match(misspelt.message, /word 7 /)
  assert.match(refusal(words.slice(1).join(' ')).message, /23 words/)
  assert.match(refusal('').message, /0 words/)
  assert.equal(refusal(`${'abandon '.repeat(24)}`).code, 'phrase-invalid')
  assert.equal(refusal('a'.repeat(100_000)).code, 'phrase-invalid')
})

test('a contact address comes back as it was', () => {
  const nospam = Uint8Array.of(1, 2, 3, 4)
  const text = encodeContactAddress({ publicKey: anna.publicKey, nospam })
  assert.equal(text.length, 55)
  const decoded = decodeContactAddress(` ${text}\n`)
  assert.ok(decoded.peerId.equals(anna.peerId))
  assert.deepEqual(decoded.publicKey, anna.publicKey)
  assert.deepEqual(decoded.nospam, nospam)
})

test('a contact address with any one letter changed, two swapped, or one lost is refused', () => {
  const text = encodeContactAddress({ publicKey: bert.publicKey, nospam: new Uint8Array(4) })
  const letters = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  for (let at = 0; at < text.length; at++) {
    for (const letter of letters) {
      if (letter === text[at]) continue
      const changed = text.slice(0, at) + letter + text.slice(at + 1)
      assert.throws(() => decodeContactAddress(changed), { code: 'address-invalid' })
    }
    const lost = text.slice(0, at) + text.slice(at + 1)
    assert.throws(() => decodeContactAddress(lost), { code: 'address-invalid' })
    const swapped = text.slice(0, at) + (text[at + 1] ?? '') + text[at] + text.slice(at + 2)
    if (swapped !== text) {
      assert.throws(() => decodeContactAddress(swapped), { code: 'address-invalid' })
    }
  }
  for (const bad of ['', '0OIl', text + text, 'z'.repeat(1_000_000), '1'.repeat(55)]) {
    assert.throws(() => decodeContactAddress(bad), { code: 'address-invalid' })
  }
})

test('a chain address is read in any case, but capitals must be right', () => {
  // From EIP-55.
  const checked = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed'
  assert.equal(parseEvmAddress(checked), checked.toLowerCase())
  assert.equal(parseEvmAddress(` ${checked.toLowerCase()} `), checked.toLowerCase())
  assert.equal(parseEvmAddress(`0x${checked.slice(2).toUpperCase()}`), checked.toLowerCase())
  for (const bad of ['', '0x', checked.replace('aA', 'Aa'), checked.slice(2), `${checked}0`]) {
    assert.throws(() => parseEvmAddress(bad), { code: 'address-invalid' })
  }
})
