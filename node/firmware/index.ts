/**
 * How an image becomes a release that a device may trust. Two halves that meet in TUF metadata only:
 *
 * *Vendor side.* `packRelease` seals an image into blocks and makes the **release root**, a dag-cbor block
 * `{v, vendor, model, version, imageBytes, sealedBytes, tree, sealedHead}`; `sealedHead` (tree key and hash of
 * the image) opens with the release key, which is random for each release and wrapped for cohorts of devices
 * with age. Chunks that an earlier release had are taken from it (`collectKnown`) and cost nothing.
 *
 * *Device side.* Gateways, peers and announcements are hints. What a TUF role vouches for is installed, nothing
 * else: the target is the release root itself, so that the sha-256 in TUF and the digest in the CID are the
 * same bytes. A key is checked against the `releaseKeyHash` that stands beside it.
 *
 * From the last DELTA_BASES releases there are *deltas* (`packDelta`): a root of their own, named by the targets
 * metadata beside the release, with patches for the chunks that changed.
 *
 * What leaks: whoever sees the blocks of one vendor sees which chunks are equal and how long they are, and the
 * sizes, model and version in the root. Taking a device off the wraps protects only what changes afterwards.
 *
 * The TUF repository of a vendor has two halves, too. *Offline* (`createVendorMetadata`, `addRelease`, …) are
 * root, targets and one delegated role per product line (`line-<model>`, path `<model>/*`); the vendor signs
 * them, on its own machine or with keys that the gateway keeps for it. *Online* (`signOnline`) are snapshot and
 * timestamp, which the gateway signs after `acceptVendorMetadata` has checked what the vendor sent. All of them
 * are pure functions from files to files. `createTrustedReleases` is the device: tuf-js makes every check, and
 * what has verified is kept as one set, so that no power cut and no repository can take a version back.
 * `createTufClient` does the same for any TUF repository and any target, with one durable file per role
 * (`createMetadataFolder`): it is what the conformance command line stands on.
 *
 * A release may carry a *rollout policy* in its TUF target (`RolloutPolicySchema`): phases, who vouches for each,
 * and the one release to go back to. The rollout role, which the gateway holds, only says within it when
 * (`signRolloutOrder`): hold, abort, go back, or go on, which takes success reports that the devices named by the
 * vendor have signed (`signReport`, hash-chained). `acceptRolloutOrder` and `judgeRollout` are what every device
 * asks before it fetches and before it switches. So a stolen gateway can stop a rollout or send it back, and can
 * neither skip the canary nor widen a phase; of failures it can hide at most as many as the policy's sample leaves
 * out of the witnesses.
 *
 * A release also goes on a stick: one CAR file whose first block (`releaseFileBlocks`) names the metadata, the
 * wraps and the release root that follow it, and is trusted as little as a gateway.
 *
 * Errors are IoexError with a FirmwareErrorCode. Nothing here opens a connection; bytes come in through
 * functions that the caller hands in, and the one file (`createMetadataFile`) or folder is there when a device wants it.
 */
export {
  type AcceptedMetadata,
  acceptVendorMetadata,
  type MetadataRefusal,
  type UploadedMetadata,
} from './accept-metadata.ts'
export {
  type DeltaEnd,
  isDeltaBetween,
  openDeltaRoot,
  packDelta,
  type PackDeltaOptions,
  type PackedDelta,
} from './delta-root.ts'
export { collectKnown, decodeKnownChunks } from './known-chunks.ts'
export {
  DELTA_BASES,
  RELEASE_ROOT_MAX_BYTES,
  WRAP_MAX_BYTES,
  WRAP_MAX_RECIPIENTS,
} from './limits.ts'
export { createMetadataFile } from './metadata-file.ts'
export { createMetadataFolder } from './metadata-folder.ts'
export {
  type MetadataFile,
  metadataFiles,
  newestMetadata,
  signOnline,
  type VendorMetadata,
} from './online-metadata.ts'
export {
  judgeRollout,
  ROLLOUT_WAITS,
  type RolloutVerdict,
  type RolloutWait,
} from './judge-rollout.ts'
export { packRelease } from './pack-release.ts'
export {
  collectMetadata,
  parseReleaseFileHead,
  type ReleaseFileHead,
  releaseFileBlocks,
} from './release-file.ts'
export { openRelease, parseReleaseRoot, RELEASE_KEY_BYTES, releaseKeyHash } from './release-root.ts'
export {
  consistentTargetPath,
  openTrustedRelease,
  releasePath,
  rootOfTargetPath,
} from './release-target.ts'
export {
  type ChainEnd,
  EMPTY_CHAIN,
  followsChain,
  openReport,
  type ReportRefusal,
  reportHash,
  signReport,
} from './report-chain.ts'
export {
  acceptRolloutOrder,
  evidenceOf,
  type FollowedOrder,
  FollowedOrderSchema,
  ORDER_REFUSALS,
  type OrderRefusal,
  signRolloutOrder,
} from './rollout-order.ts'
export { rolloutOfPlan } from './rollout-plan.ts'
export {
  evidenceNeeded,
  GroupNameSchema,
  phaseOfBucket,
  type PlannedPhase,
  planRollout,
  type RolloutPhase,
  type RolloutPolicy,
  RolloutPolicySchema,
  rolloutBucket,
  witnessesDigest,
} from './rollout-policy.ts'
export type { RefreshRefusal, TrustedFiles } from './trust-session.ts'
export {
  createTrustedReleases,
  type MetadataStore,
  type TrustedReleases,
  type TrustedReleasesNeeds,
  type TrustedReleasesOptions,
} from './trusted-releases.ts'
export {
  createTufClient,
  type TufClient,
  type TufClientNeeds,
  type TufRefusal,
  type TufTarget,
  verifiedTarget,
} from './tuf-client.ts'
export { lineRole, signFile } from './tuf-file.ts'
export {
  createTufSeed,
  createTufSigner,
  type TufPublicKey,
  type TufSigner,
  tufPublicKey,
} from './tuf-keys.ts'
export type {
  DeltaTarget,
  FirmwareErrorCode,
  KnownChunks,
  OpenedRelease,
  PackedRelease,
  PackOptions,
  ReleaseRoot,
  ReleaseTarget,
} from './types.ts'
export {
  describeDraft,
  draftKeys,
  draftRelease,
  draftRenewal,
  expiriesOf,
  finishDraft,
  lineKeysOf,
  type MetadataDraft,
  type MissingSignatures,
  missingSignatures,
  rolesOf,
  signDraft,
} from './metadata-draft.ts'
export {
  addRelease,
  createVendorMetadata,
  DEFAULT_LIFETIMES,
  type MetadataLifetimes,
  type OfflineMetadata,
  releasesOf,
  removeRelease,
  renewLine,
  renewTargets,
  type RoleKeys,
  rotateRoot,
  type SigningTime,
  type VendorRoles,
} from './vendor-metadata.ts'
export { unwrapCheckedReleaseKey, unwrapReleaseKey, wrapReleaseKey } from './wrap.ts'
