import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { TypedDataEncoder, Wallet } from 'ethers'
import { fromHex, type Hex, toHex } from '../../node/base/index.ts'
import { createIdentity } from '../../node/identity/index.ts'
import {
  type Decoded,
  decodeSignedGrant,
  decodeSignedPinOrder,
  decodeSignedReceipt,
  digest,
  domainSeparator,
  encodeSignedGrant,
  encodeSignedPinOrder,
  encodeSignedReceipt,
  grantSigner,
  hashGrant,
  hashPinOrder,
  hashReceipt,
  type LedgerDomain,
  pinOrderSigner,
  receiptSigner,
  type Signed,
  signedGrantFromJson,
  signedPinOrderFromJson,
  signedReceiptFromJson,
  signGrant,
  signPinOrder,
  signReceipt,
  type Signer,
} from '../../node/receipts/index.ts'
import { ETHERS_TYPES } from './eip712-types.ts'
import { createSamples } from './sample-messages.ts'

type StructName = keyof typeof ETHERS_TYPES

interface Vectors {
  readonly domain: LedgerDomain & { readonly name: string; readonly version: string }
  readonly domainSeparator: Hex
  readonly types: Readonly<Record<StructName, string>>
  readonly key: { readonly seed: Hex; readonly privateKey: Hex; readonly address: Hex }
  readonly cases: readonly {
    readonly primaryType: StructName
    readonly name: string
    readonly message: unknown
    readonly structHash: Hex
    readonly digest: Hex
    readonly signature: Hex
    readonly dagCbor: Hex
  }[]
}

const vectors = JSON.parse(
  readFileSync(new URL('eip712.json', import.meta.url), 'utf8'),
) as Vectors
const { domain } = vectors
const identity = createIdentity(bytesOf(vectors.key.seed))

function bytesOf(hex: Hex): Uint8Array {
  const bytes = fromHex(hex)
  assert.ok(bytes)
  return bytes
}

/** What one struct of the room can do, with its type kept inside. */
function toolsOf<T>(tools: {
  fromJson: (json: unknown) => Decoded<Signed<T>, string>
  hash: (message: T) => Uint8Array
  sign: (signer: Signer, under: LedgerDomain, message: T) => Signed<T>
  signerOf: (under: LedgerDomain, signed: Signed<T>) => Hex | undefined
  encode: (signed: Signed<T>) => Uint8Array
  decode: (bytes: Uint8Array) => Decoded<Signed<T>, string>
}) {
  return (json: unknown) => {
    const read = tools.fromJson(json)
    assert.ok(read.ok, read.ok ? '' : read.detail)
    const { message } = read.value
    const structHash = tools.hash(message)
    const decoded = tools.decode(tools.encode(read.value))
    assert.deepEqual(decoded, read)
    return {
      structHash: toHex(structHash),
      digest: toHex(digest(domain, structHash)),
      signature: tools.sign(identity, domain, message).signature,
      signer: tools.signerOf(domain, read.value),
      dagCbor: toHex(tools.encode(read.value)),
    }
  }
}

const recompute: Record<StructName, ReturnType<typeof toolsOf>> = {
  Grant: toolsOf({
    fromJson: signedGrantFromJson,
    hash: hashGrant,
    sign: signGrant,
    signerOf: grantSigner,
    encode: encodeSignedGrant,
    decode: decodeSignedGrant,
  }),
  Receipt: toolsOf({
    fromJson: signedReceiptFromJson,
    hash: hashReceipt,
    sign: signReceipt,
    signerOf: receiptSigner,
    encode: encodeSignedReceipt,
    decode: decodeSignedReceipt,
  }),
  PinOrder: toolsOf({
    fromJson: signedPinOrderFromJson,
    hash: hashPinOrder,
    sign: signPinOrder,
    signerOf: pinOrderSigner,
    encode: encodeSignedPinOrder,
    decode: decodeSignedPinOrder,
  }),
}

test('the domain separator is that of the vectors and of ethers', () => {
  assert.equal(toHex(domainSeparator(domain)), vectors.domainSeparator)
  assert.equal(TypedDataEncoder.hashDomain(domain), vectors.domainSeparator)
})

test('the key of the vectors comes of its seed', () => {
  assert.equal(identity.evmAddress, vectors.key.address)
  assert.equal(toHex(identity.privateKey.raw), vectors.key.privateKey)
  assert.equal(new Wallet(vectors.key.privateKey).address.toLowerCase(), vectors.key.address)
})

test('ethers reads the same type strings', () => {
  for (const [name, encodedType] of Object.entries(vectors.types)) {
    const types = { [name]: ETHERS_TYPES[name as StructName] }
    assert.equal(TypedDataEncoder.from(types).encodeType(name), encodedType)
  }
})

for (const { primaryType, name, message, ...expected } of vectors.cases) {
  test(`${primaryType}, ${name}: hash, digest, signature and encoding are those of the vectors`, () => {
    const actual = recompute[primaryType]({ message, signature: expected.signature })
    assert.deepEqual(actual, { ...expected, signer: vectors.key.address })
  })
}

test('3,000 random messages hash as ethers hashes them', () => {
  const samples = createSamples(712)
  const encoders = {
    Grant: TypedDataEncoder.from({ Grant: ETHERS_TYPES.Grant }),
    Receipt: TypedDataEncoder.from({ Receipt: ETHERS_TYPES.Receipt }),
    PinOrder: TypedDataEncoder.from({ PinOrder: ETHERS_TYPES.PinOrder }),
  }
  for (let round = 0; round < 1000; round++) {
    const grant = samples.grant()
    const receipt = samples.receipt()
    const order = samples.pinOrder()
    assert.equal(toHex(hashGrant(grant)), encoders.Grant.hash(grant))
    assert.equal(toHex(hashReceipt(receipt)), encoders.Receipt.hash(receipt))
    assert.equal(toHex(hashPinOrder(order)), encoders.PinOrder.hash(order))
  }
})

test('a signature of a wallet is taken, and ours by a wallet', async () => {
  const wallet = new Wallet(vectors.key.privateKey)
  const samples = createSamples(31337)
  for (let round = 0; round < 20; round++) {
    const message = samples.receipt()
    const types = { Receipt: ETHERS_TYPES.Receipt }
    const signature = (await wallet.signTypedData(domain, types, message)) as Hex
    assert.equal(receiptSigner(domain, { message, signature }), vectors.key.address)
    assert.equal(signReceipt(identity, domain, message).signature, signature)
  }
})
