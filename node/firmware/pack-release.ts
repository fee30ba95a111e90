import { ModelSchema, VersionSchema } from '../api/index.ts'
import { systemRandom } from '../base/index.ts'
import { type PutBlock, sealFile } from '../chunks/index.ts'
import { parseEvmAddress } from '../identity/index.ts'
import { encodeReleaseRoot, RELEASE_KEY_BYTES } from './release-root.ts'
import { firmwareError, type PackedRelease, type PackOptions } from './types.ts'

/**
 * Seals an image and makes its release root, which is put last: when it is there, all of the release is.
 * Memory does not grow with the image. Throws release-options-invalid, what `sealFile` and
 * `parseEvmAddress` throw, and whatever source and `put` throw.
 */
export async function packRelease(
  source: AsyncIterable<Uint8Array>,
  put: PutBlock,
  options: PackOptions,
): Promise<PackedRelease> {
  const { model, version } = options
  const vendor = parseEvmAddress(options.vendor)
  if (!ModelSchema.safeParse(model).success) throw invalid('the model has a wrong form', NAME_FIX)
  if (!VersionSchema.safeParse(version).success)
    throw invalid('the version has a wrong form', NAME_FIX)
  const random = options.random ?? systemRandom
  const releaseKey = options.releaseKey ?? random.bytes(RELEASE_KEY_BYTES)
  if (releaseKey.byteLength !== RELEASE_KEY_BYTES) {
    throw invalid('a release key has 32 bytes', 'Leave it out; a random one is made.')
  }
  const { known } = options
  const sealed = await sealFile(source, put, {
    profile: options.profile,
    secret: options.contentSecret,
    zstdLevel: options.zstdLevel,
    signal: options.signal,
    ...(known === undefined ? {} : { known: (hash) => known.find(hash) }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  })
  const { cid, bytes } = encodeReleaseRoot(
    {
      vendor,
      model,
      version,
      imageBytes: sealed.plainBytes,
      sealedBytes: sealed.sealedBytes,
      tree: sealed.tree.cid,
    },
    { treeKey: sealed.tree.key, imageHash: sealed.plainHash },
    releaseKey,
  )
  await put({ cid, bytes })
  return {
    root: cid,
    rootBytes: bytes,
    releaseKey,
    imageBytes: sealed.plainBytes,
    sealedBytes: sealed.sealedBytes,
    chunks: sealed.chunks,
    newChunks: sealed.newChunks,
    imageHash: sealed.plainHash,
    tree: sealed.tree,
  }
}

const NAME_FIX =
  'Use 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit.'

function invalid(message: string, fix: string) {
  return firmwareError('release-options-invalid', message, { blame: 'caller', fix })
}
