import assert from 'node:assert/strict'
import { createCipheriv, createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { varint } from 'multiformats'
import { concat, KIB, MIB } from '../base/index.ts'
import { noise } from '../testing/memory-blocks.ts'
import { type ChunkRef, openPatches, type Patches, sealNode, type TreeRef } from './index.ts'

const SECRET = new Uint8Array(32).fill(7)
const KEY = new Uint8Array(32).fill(9)
const BASE = noise(2 * MIB, 1)
/** Of the chunk that every delta here claims to make. */
const PLAIN_BYTES = 64 * KIB

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const cidOf = (code: number, bytes: Uint8Array) =>
  CID.createV1(code, Digest.create(0x12, sha256(bytes)))

/** What the format says, written a second time: AES-256-GCM, nonce zero, tag at the end. */
function encrypt(plain: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', KEY, new Uint8Array(12))
  return concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Numbers of a row, in the order of the format; what is left out is that of an honest patch. */
interface Row {
  readonly chunksSkipped?: number
  readonly chunks?: number
  readonly bytesSkipped?: number
  readonly plainBytes?: number
  readonly shift?: number
  readonly form?: number
  readonly insteadOfBytes?: number
  readonly frameBytes?: number
}

interface Claims {
  readonly rows?: readonly Row[]
  /** The frames of the one bundle. */
  readonly frames?: Uint8Array
  readonly keys?: Uint8Array
  readonly counts?: readonly unknown[]
  readonly numbers?: readonly unknown[]
  readonly payload?: unknown
  /** The list stands so often in the delta. */
  readonly lists?: number
}

/** A delta as a publisher who means ill would make it: everything is signed and sealed as it should be. */
async function opened(claims: Claims): Promise<{ patches: Patches; read: number[] }> {
  const frames = claims.frames ?? noise(100, 3)
  const block = encrypt(frames)
  const bundle = cidOf(0x55, block)
  const rows = claims.rows ?? [{}]
  const numbers = rows.flatMap((row) => [
    row.chunksSkipped ?? 0,
    row.chunks ?? 1,
    row.bytesSkipped ?? 0,
    row.plainBytes ?? PLAIN_BYTES,
    row.shift ?? 0,
    row.form ?? 1,
    row.insteadOfBytes ?? PLAIN_BYTES,
    row.frameBytes ?? frames.byteLength,
  ])
  const payload = claims.payload ?? [
    claims.keys ?? KEY,
    claims.counts ?? [rows.length],
    claims.numbers ?? numbers,
  ]
  const list = await sealNode({ links: [bundle], payload: dagCbor.encode(payload) }, SECRET)
  const blocks = new Map([
    [bundle.toString(), block],
    [list.cid.toString(), list.bytes],
  ])
  const lists: TreeRef[] = Array.from({ length: claims.lists ?? 1 }, () => list)
  /** Bytes of the base that were asked for. */
  const read: number[] = []
  const patches = await openPatches(lists, {
    get: (cid) => Promise.resolve(Uint8Array.from(blocks.get(cid.toString()) ?? [])),
    readBase: (offset, bytes) => {
      read.push(bytes)
      const isThere = offset + bytes <= BASE.byteLength
      return Promise.resolve(isThere ? BASE.slice(offset, offset + bytes) : undefined)
    },
    baseBytes: BASE.byteLength,
  })
  return { patches, read }
}

const refused = (said: RegExp) => ({ code: 'delta-damaged', blame: 'peer', message: said })

function refOf(plain: Uint8Array): ChunkRef {
  return {
    cid: cidOf(0x55, plain),
    sealedBytes: plain.byteLength,
    plainBytes: plain.byteLength,
    plainHash: sha256(plain),
    key: KEY,
  }
}

const WANTED = BASE.slice(0, PLAIN_BYTES)

/** What happens to the first chunk. */
async function applied(claims: Claims): Promise<Uint8Array> {
  const { patches } = await opened(claims)
  const patch = patches.find(0)
  assert.ok(patch !== undefined)
  const plain = await patches.apply(patch, { ref: refOf(WANTED), offset: 0 })
  const bytes = Uint8Array.from(plain.bytes)
  plain.release()
  return bytes
}

/** Steps as the format has them: `[add, insert, seek]`, then what is inserted and what is changed. */
function stepsOf(
  steps: readonly (readonly [number, number, number])[],
  content: Uint8Array = new Uint8Array(),
  count = steps.length,
): Uint8Array {
  const zigzag = (number: number) => (number < 0 ? -2 * number - 1 : 2 * number)
  const numbers = [
    count,
    ...steps.map(([add]) => add),
    ...steps.map(([, insert]) => insert),
    ...steps.map(([, , seek]) => zigzag(seek)),
  ]
  const head = numbers.map((number) =>
    varint.encodeTo(number, new Uint8Array(varint.encodingLength(number))),
  )
  return zstdCompressSync(concat([...head, content]))
}

describe('a list of patches', () => {
  test('that is as the format says is taken', async () => {
    const frames = stepsOf([[PLAIN_BYTES, 0, 0]])
    assert.deepEqual(await applied({ frames }), WANTED)
  })

  for (const [what, claims, said] of [
    ['is no list', { payload: { rows: [] } }, /a list is none/],
    [
      'has keys for more bundles than it links to',
      { keys: new Uint8Array(64) },
      /impossible sizes/,
    ],
    ['counts the patches of another number of bundles', { counts: [1, 1] }, /impossible sizes/],
    ['holds what is no number', { numbers: ['1'] }, /impossible sizes/],
    ['holds fractions', { numbers: [0.5] }, /impossible sizes/],
    ['holds numbers beyond all others', { numbers: [2 ** 60] }, /impossible sizes/],
    [
      'has more rows than a list may',
      { numbers: Array(8 * 4_096 + 8).fill(1) },
      /impossible sizes/,
    ],
    ['counts no patch in a bundle', { counts: [0] }, /impossible number/],
    ['counts a negative number', { counts: [-1] }, /impossible number/],
    ['counts what is no number', { counts: ['1'] }, /impossible number/],
    ['counts more patches than it has rows', { counts: [2] }, /a row makes no sense/],
    ['counts fewer patches than it has rows', { rows: [{}, {}], counts: [1] }, /says more/],
    ['is cut off within a row', { numbers: [0, 1, 0] }, /a row makes no sense/],
  ] satisfies readonly (readonly [string, Claims, RegExp])[]) {
    test(`that ${what} is refused`, async () => {
      await assert.rejects(opened(claims), refused(said))
    })
  }

  for (const [what, row] of [
    ['goes back in the order of chunks', { chunksSkipped: -1 }],
    ['goes back in the image', { bytesSkipped: -1 }],
    ['makes no chunk', { chunks: 0 }],
    ['makes more chunks than bytes', { chunks: PLAIN_BYTES + 1 }],
    ['begins at a chunk that no image has', { chunksSkipped: Number.MAX_SAFE_INTEGER }],
    ['begins behind every image', { bytesSkipped: Number.MAX_SAFE_INTEGER }],
    ['makes nothing', { plainBytes: 0 }],
    ['makes more than the largest chunk', { plainBytes: MIB + 1 }],
    ['takes a window before the image', { shift: -1 }],
    ['takes a window behind every image', { shift: 2 ** 50 }],
    ['has a form that there is not', { form: 2 }],
    ['has a negative form', { form: -1 }],
    ['replaces a negative number of bytes', { insteadOfBytes: -1 }],
    ['replaces more than there is', { insteadOfBytes: Number.MAX_SAFE_INTEGER }],
    ['has an empty frame', { frameBytes: 0 }],
    ['has a frame beyond the largest chunk', { frameBytes: MIB + 1 }],
  ] satisfies readonly (readonly [string, Row])[]) {
    test(`with a row that ${what} is refused`, async () => {
      await assert.rejects(opened({ rows: [row] }), refused(/a row makes no sense/))
    })
  }

  test('whose sums run over is refused, not rounded', async () => {
    const row = { chunksSkipped: Number.MAX_SAFE_INTEGER, bytesSkipped: 2 ** 40 }
    await assert.rejects(opened({ rows: [row, row] }), refused(/a row makes no sense/))
    const shifts = [{ shift: 2 ** 52 }, { shift: 2 ** 52 }]
    await assert.rejects(opened({ rows: shifts }), refused(/a row makes no sense/))
  })

  test('whose window lies behind the running image is refused', async () => {
    const rows = [{ shift: BASE.byteLength + 1 }]
    await assert.rejects(opened({ rows }), refused(/a window lies behind the image/))
  })

  test('whose bundle would be larger than any is refused', async () => {
    const rows = [{ frameBytes: MIB }, { frameBytes: MIB }]
    await assert.rejects(opened({ rows }), refused(/a bundle is too large/))
  })

  test('that makes a chunk that another has made is refused', async () => {
    await assert.rejects(opened({ lists: 2 }), refused(/two make the same chunk/))
  })
})

describe('a patch', () => {
  const isUnapplied = (frames: Uint8Array, said: RegExp, row: Row = {}) =>
    assert.rejects(applied({ frames, rows: [row] }), refused(said))

  test('whose bundle has another length than its list says is refused', () =>
    isUnapplied(noise(100, 3), /a bundle has another length/, { frameBytes: 99 }))

  test('that is no zstd frame is refused in both forms', async () => {
    await isUnapplied(noise(100, 3), /one cannot be applied/)
    await isUnapplied(noise(100, 3), /one cannot be applied/, { form: 0 })
  })

  test('that unpacks to more than it claims is stopped there', async () => {
    const bomb = zstdCompressSync(new Uint8Array(64 * MIB))
    assert.ok(bomb.byteLength < 16 * KIB)
    const before = process.memoryUsage.rss()
    for (const form of [0, 1]) await isUnapplied(bomb, /one cannot be applied/, { form })
    assert.ok(process.memoryUsage.rss() - before < 32 * MIB, 'nothing like the bomb was in memory')
  })

  test('that makes other bytes than the recipe says is refused in both forms', async () => {
    await isUnapplied(stepsOf([[0, PLAIN_BYTES, 0]], noise(PLAIN_BYTES, 4)), /makes other bytes/)
    const frames = zstdCompressSync(noise(PLAIN_BYTES, 4))
    await isUnapplied(frames, /makes other bytes/, { form: 0 })
  })

  test('that makes less than the recipe says is refused', async () => {
    await isUnapplied(zstdCompressSync(new Uint8Array(PLAIN_BYTES - 1)), /makes other bytes/, {
      form: 0,
    })
  })

  test('that claims more chunks than it makes makes none of the others', async () => {
    const frames = stepsOf([[PLAIN_BYTES, 0, 0]])
    const { patches } = await opened({ frames, rows: [{ chunks: PLAIN_BYTES }] })
    const patch = patches.find(PLAIN_BYTES - 1)
    assert.ok(patch !== undefined)
    for (const offset of [PLAIN_BYTES, 2 ** 40, 1]) {
      const outside = patches.apply(patch, { ref: refOf(WANTED), offset })
      await assert.rejects(outside, refused(/makes other bytes/))
    }
  })

  for (const [what, steps, count] of [
    [
      'begin before the window',
      [
        [0, 0, -1],
        [PLAIN_BYTES, 0, 0],
      ],
    ],
    [
      'reach behind the window',
      [
        [0, 0, MIB - 10],
        [PLAIN_BYTES, 0, 0],
      ],
    ],
    [
      'go so far that numbers end',
      [
        [0, 0, 2 ** 52],
        [PLAIN_BYTES, 0, 0],
      ],
    ],
    ['make less', [[PLAIN_BYTES - 1, 0, 0]]],
    ['make more', [[PLAIN_BYTES, 1, 0]]],
    ['make very much more', [[2 ** 40, 0, 0]]],
    ['are fewer than they say', [[PLAIN_BYTES, 0, 0]], 2],
    ['are very many', [[PLAIN_BYTES, 0, 0]], 2 ** 40],
    ['are none', []],
  ] satisfies readonly (readonly [string, readonly [number, number, number][], number?])[]) {
    test(`whose steps ${what} is refused`, () =>
      isUnapplied(stepsOf(steps, new Uint8Array(), count), /steps that lead nowhere/))
  }

  for (const [what, changes] of [
    ['begins behind the end', [0xff, 0xff, 0x7f, 1, 1]],
    ['goes on behind the end', [0xff, 0xff, 3, 2, 1, 1]],
    ['is longer than what is there', [0, 3, 1, 1]],
    ['has no length', [1]],
    ['has a length that never ends', [0, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ] satisfies readonly (readonly [string, number[]])[]) {
    test(`with a change that ${what} is refused`, () =>
      isUnapplied(
        stepsOf([[PLAIN_BYTES, 0, 0]], Uint8Array.from(changes)),
        /changes what it does not make/,
      ))
  }

  test('whose numbers never end is refused', () =>
    isUnapplied(zstdCompressSync(new Uint8Array(PLAIN_BYTES).fill(0xff)), /lead nowhere/))

  test('reads of the image what it uses, at most a window', async () => {
    const at = MIB - PLAIN_BYTES
    const frames = stepsOf([
      [0, 0, at],
      [PLAIN_BYTES, 0, 0],
    ])
    const { patches, read } = await opened({ frames })
    const patch = patches.find(0)
    assert.ok(patch !== undefined)
    const ref = refOf(BASE.slice(at, MIB))
    const plain = await patches.apply(patch, { ref, offset: 0 })
    assert.deepEqual(Uint8Array.from(plain.bytes), BASE.slice(at, MIB))
    plain.release()
    assert.deepEqual(read, [PLAIN_BYTES])
  })
})
