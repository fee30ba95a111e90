import type { CID } from 'multiformats/cid'
import { concat, utf8 } from '../base/index.ts'
import { type GetBlock, PROFILE_64K } from '../chunks/index.ts'
import {
  addRelease,
  createTufSigner,
  createVendorMetadata,
  DELTA_BASES,
  type DeltaEnd,
  type DeltaTarget,
  metadataFiles,
  type OfflineMetadata,
  openRelease,
  type PackedRelease,
  packDelta,
  packRelease,
  type ReleaseTarget,
  releaseKeyHash,
  type RolloutPolicy,
  type SigningTime,
  signOnline,
  type TufSigner,
  type VendorMetadata,
  type VendorRoles,
} from '../firmware/index.ts'
import { createIdentity } from '../identity/index.ts'
import { createMemoryBlocks, inPieces, type MemoryBlocks } from './memory-blocks.ts'

/** A vendor with real keys, real releases and a real TUF repository, all in memory. */
export interface FakeVendor {
  readonly address: `0x${string}`
  readonly signers: {
    readonly root: TufSigner
    readonly targets: TufSigner
    readonly line: TufSigner
    readonly online: TufSigner
  }
  readonly roles: VendorRoles
  /** The first root: what devices are enrolled with. */
  readonly initialRoot: Uint8Array
  readonly metadata: VendorMetadata
  /** What the repository serves, by file name. Tests may change it as an attacker would. */
  readonly repository: Map<string, Uint8Array>
  /** All blocks of all releases, by CID. */
  readonly blocks: Map<string, Uint8Array>
  publish(
    image: Uint8Array | AsyncIterable<Uint8Array>,
    release: {
      readonly model: string
      readonly version: string
      /** With patches from the releases of that model before. */
      readonly deltas?: boolean
      /** The policy of its rollout, once its root is known. */
      readonly rollout?: (root: CID) => RolloutPolicy
    },
  ): Promise<{ readonly packed: PackedRelease; readonly target: ReleaseTarget }>
  /** Signs snapshot and timestamp over these files and serves them. */
  serve(offline: OfflineMetadata, time?: SigningTime): VendorMetadata
  readonly getBlock: GetBlock
}

/** `name` makes the keys: equal names give equal vendors. */
export function createFakeVendor(
  needs: {
    readonly clock: { nowMs(): number }
    /** For releases that are larger than memory; nothing is in `blocks` then. */
    readonly store?: Pick<MemoryBlocks, 'put' | 'get'>
  },
  options: { readonly name: string },
): FakeVendor {
  const identity = createIdentity(seedOf(`${options.name} account`))
  const signer = (role: string) => createTufSigner(seedOf(`${options.name} ${role}`))
  const signers = {
    root: signer('root'),
    targets: signer('targets'),
    line: signer('line'),
    online: signer('online'),
  }
  const role = (key: TufSigner) => ({ keys: [key], threshold: 1 })
  const roles = {
    root: role(signers.root),
    targets: role(signers.targets),
    online: role(signers.online),
  }
  const repository = new Map<string, Uint8Array>()
  const memory = createMemoryBlocks()
  const store = needs.store ?? memory
  const published: { readonly model: string; readonly packed: PackedRelease }[] = []
  const contentSecret = seedOf(`${options.name} content`)
  const now = () => ({ nowMs: needs.clock.nowMs() })
  const first = createVendorMetadata(
    roles,
    { root: [signers.root], targets: [signers.targets] },
    now(),
  )
  let metadata: VendorMetadata

  const serve: FakeVendor['serve'] = (offline, time = now()) => {
    metadata = signOnline({ ...metadata, ...offline }, [signers.online], time)
    for (const file of metadataFiles(metadata)) repository.set(file.name, file.bytes)
    return metadata
  }
  const deltasTo = async (next: PackedRelease, model: string): Promise<DeltaTarget[]> => {
    const bases = published.filter((each) => each.model === model).slice(-DELTA_BASES)
    const made: DeltaTarget[] = []
    for (const { packed: base } of bases) {
      const delta = await packDelta({ base: endOf(base), next: endOf(next) }, store, {
        contentSecret,
        releaseKey: next.releaseKey,
        zstdLevel: 3,
      })
      if (delta === undefined) continue
      made.push({ baseRoot: base.root, deltaRoot: delta.root, bytes: delta.expectedBytes })
    }
    return made
  }
  metadata = signOnline(first, [signers.online], now())
  serve(first)
  return {
    address: identity.evmAddress,
    signers,
    roles,
    initialRoot: first.root,
    repository,
    blocks: memory.blocks,
    serve,
    get metadata() {
      return metadata
    },
    async publish(image, { model, version, deltas = false, rollout }) {
      const packed = await packRelease(
        image instanceof Uint8Array ? inPieces(image) : image,
        store.put,
        {
          vendor: identity.evmAddress,
          model,
          version,
          contentSecret,
          zstdLevel: 1,
          profile: PROFILE_64K,
        },
      )
      const added = addRelease(
        metadata,
        {
          model,
          version,
          root: packed.root,
          rootBytes: packed.rootBytes.byteLength,
          releaseKeyHash: releaseKeyHash(packed.releaseKey),
          deltas: deltas ? await deltasTo(packed, model) : [],
          announceSigner: identity.evmAddress,
          ...(rollout === undefined ? {} : { rollout: rollout(packed.root) }),
        },
        { targets: [signers.targets], line: [signers.line] },
        now(),
      )
      serve(added.metadata)
      published.push({ model, packed })
      return { packed, target: added.target }
    },
    getBlock: store.get,
  }
}

function endOf({ root, rootBytes, releaseKey }: PackedRelease): DeltaEnd {
  return { root, release: openRelease(rootBytes, releaseKey) }
}

/** 32 bytes that differ wherever the names do. */
function seedOf(name: string): Uint8Array {
  return concat([utf8(name), new Uint8Array(32)]).slice(0, 32)
}
