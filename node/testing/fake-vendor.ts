import type { CID } from 'multiformats/cid'
import { concat, utf8 } from '../base/index.ts'
import { type GetBlock, PROFILE_64K } from '../chunks/index.ts'
import {
  addRelease,
  createTufSigner,
  createVendorMetadata,
  metadataFiles,
  type OfflineMetadata,
  type PackedRelease,
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
import { createMemoryBlocks, inPieces } from './memory-blocks.ts'

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
    image: Uint8Array,
    release: {
      readonly model: string
      readonly version: string
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
  needs: { readonly clock: { nowMs(): number } },
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
  const store = createMemoryBlocks()
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
  metadata = signOnline(first, [signers.online], now())
  serve(first)
  return {
    address: identity.evmAddress,
    signers,
    roles,
    initialRoot: first.root,
    repository,
    blocks: store.blocks,
    serve,
    get metadata() {
      return metadata
    },
    async publish(image, { model, version, rollout }) {
      const packed = await packRelease(inPieces(image), store.put, {
        vendor: identity.evmAddress,
        model,
        version,
        contentSecret: seedOf(`${options.name} content`),
        zstdLevel: 1,
        profile: PROFILE_64K,
      })
      const added = addRelease(
        metadata,
        {
          model,
          version,
          root: packed.root,
          rootBytes: packed.rootBytes.byteLength,
          releaseKeyHash: releaseKeyHash(packed.releaseKey),
          deltas: [],
          announceSigner: identity.evmAddress,
          ...(rollout === undefined ? {} : { rollout: rollout(packed.root) }),
        },
        { targets: [signers.targets], line: [signers.line] },
        now(),
      )
      serve(added.metadata)
      return { packed, target: added.target }
    },
    getBlock: store.get,
  }
}

/** 32 bytes that differ wherever the names do. */
function seedOf(name: string): Uint8Array {
  return concat([utf8(name), new Uint8Array(32)]).slice(0, 32)
}
