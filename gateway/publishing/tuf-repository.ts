/**
 * The TUF repository of each vendor, kept in the database: one row per file, so that a change of several files
 * is one transaction together with the release rows it is about. What the vendor signs comes from the vault
 * (managed) or from the vendor (own keys); snapshot and timestamp are signed here.
 */
import { type RolloutPlan, RolloutPlanSchema } from '@ioex/node/api'
import {
  acceptVendorMetadata,
  addRelease,
  releasesOf,
  rolloutOfPlan,
  createTufSigner,
  createVendorMetadata,
  DEFAULT_LIFETIMES,
  metadataFiles,
  newestMetadata,
  type OfflineMetadata,
  type ReleaseTarget,
  removeRelease,
  renewLine,
  renewTargets,
  signOnline,
  type TufSigner,
  tufPublicKey,
  type UploadedMetadata,
  type VendorMetadata,
} from '@ioex/node/firmware'
import { fromUtf8 } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import { ProblemError } from '../problems.ts'
import { deltaTargets } from '../store/deltas.ts'
import type { Database } from '../store/open.ts'
import type { ReleaseRow, VendorRow } from '../store/tables.ts'

export type { UploadedMetadata }

type Needs = Pick<Parts, 'db' | 'keys' | 'clock' | 'node' | 'log'>

/** Older versions of a file that are kept: a client that read the timestamp before may still ask for them. */
const VERSIONS_KEPT = 8

/** What a managed vendor's plan has become for one release. */
type PlannedRollout = ReturnType<typeof rolloutOfPlan> & Pick<RolloutPlan, 'approval'>

export interface TufRepository {
  /** Root, empty targets, snapshot and timestamp of a managed vendor that is being made. */
  createManaged(vendor: string, db: Database): Promise<void>
  /** Names a release as the newest of its model; `alongside` runs in the same transaction. */
  addRelease(
    release: ReleaseRow,
    alongside: (
      db: Database,
      sequence: number,
      rollout: PlannedRollout | undefined,
    ) => Promise<void>,
  ): Promise<void>
  /** Checks what a vendor signed for a release, without storing it. */
  check(vendor: string, uploaded: UploadedMetadata): Promise<readonly ReleaseTarget[]>
  /** Stores what an own-keys vendor signed, if it adds no release: root, rotation, renewal. */
  accept(vendor: string, uploaded: UploadedMetadata): Promise<void>
  removeRelease(release: ReleaseRow, uploaded: UploadedMetadata | undefined): Promise<void>
  /** Signs again what has lived for half of its time. */
  renewAll(): Promise<void>
}

export function createTufRepository(needs: Needs): TufRepository {
  const { db, keys, clock, node, log } = needs
  const time = () => ({ nowMs: clock.nowMs(), lifetimes: DEFAULT_LIFETIMES })

  const signerFrom = async (
    vendor: string,
    purpose: 'tuf-root' | 'tuf-targets' | 'tuf-online',
  ): Promise<TufSigner> => {
    const seed = await keys.get(vendor, purpose)
    if (seed !== undefined) return createTufSigner(seed)
    throw new ProblemError('custody-wrong', 'the keys of this vendor are with the vendor', {
      fix: 'Sign on the machine that holds them: ioex vendor keys',
    })
  }

  const current = async (vendor: string, from: Database = db): Promise<VendorMetadata> => {
    const metadata = newestMetadata(await filesOf(from, vendor))
    if (metadata !== undefined) return metadata
    throw new ProblemError('tuf-root-missing', 'the vendor has no root.json yet', {
      fix: 'Register it again: ioex vendor create',
    })
  }

  const onlineKeyOf = async (vendor: string) => {
    const row = await db
      .selectFrom('vendors')
      .select('online_tuf_key')
      .where('id', '=', vendor)
      .executeTakeFirstOrThrow()
    return tufPublicKey(row.online_tuf_key as `0x${string}`)
  }

  /**
   * Signs snapshot and timestamp over the vendor's part and stores what is new, with `alongside` in the same
   * transaction. Keys are fetched before it begins: SQLite has one connection, which the transaction holds.
   */
  const store = async (
    vendor: string,
    metadata: OfflineMetadata & Partial<VendorMetadata>,
    alongside?: (db: Database) => Promise<void>,
  ) => {
    const whole = signOnline(metadata, [await signerFrom(vendor, 'tuf-online')], time())
    await db.transaction().execute(async (transaction) => {
      await write(vendor, whole, transaction)
      await alongside?.(transaction)
    })
  }

  const write = async (vendor: string, whole: VendorMetadata, into: Database) => {
    for (const file of metadataFiles(whole)) {
      const row = {
        vendor,
        name: file.name,
        bytes: file.bytes,
        version: file.version,
        expires_ms: file.expiresMs,
      }
      await into
        .insertInto('tuf_files')
        .values(row)
        .onConflict((conflict) =>
          // Two gateways that sign at once: the higher timestamp stays, versioned files never change.
          conflict
            .columns(['vendor', 'name'])
            .doUpdateSet(row)
            .where('tuf_files.version', '<', file.version),
        )
        .execute()
      const isRoot = file.name.endsWith('.root.json')
      if (!isRoot) {
        const old = file.name.replace(/^\d+/, String(file.version - VERSIONS_KEPT))
        await into
          .deleteFrom('tuf_files')
          .where('vendor', '=', vendor)
          .where('name', '=', old)
          .where('version', '>', 0)
          .where('version', '<', file.version)
          .execute()
      }
    }
  }

  const accepted = async (vendor: string, uploaded: UploadedMetadata) => {
    const result = acceptVendorMetadata(newestMetadata(await filesOf(db, vendor)), uploaded, {
      nowMs: clock.nowMs(),
      onlineKey: await onlineKeyOf(vendor),
    })
    if (result.ok) return result.value
    throw new ProblemError('tuf-invalid', `the metadata was refused: ${result.reason}`, {
      fix: 'Sign the next versions over what the repository has now, and send them again.',
    })
  }

  /** A managed release, signed with the keys in the vault. */
  const signManaged = async (release: ReleaseRow) => {
    const targets = [await signerFrom(release.vendor, 'tuf-targets')]
    const before = await current(release.vendor)
    const rollout = await plannedFor(release, before)
    const { metadata, target } = addRelease(
      before,
      {
        model: release.model,
        version: release.version,
        root: CID.parse(release.id),
        rootBytes: release.root_bytes,
        releaseKeyHash: release.release_key_hash as `0x${string}`,
        deltas: deltaTargets(release),
        announceSigner: node.identity.evmAddress,
        ...(rollout === undefined ? {} : { rollout: rollout.policy }),
      },
      { targets, line: targets },
      time(),
    )
    return { metadata, sequence: target.sequence, rollout }
  }

  const plannedFor = async (
    release: ReleaseRow,
    before: OfflineMetadata,
  ): Promise<PlannedRollout | undefined> => {
    if (release.rollout_plan === null) return undefined
    const plan = RolloutPlanSchema.parse(JSON.parse(release.rollout_plan))
    const devices = await db
      .selectFrom('devices')
      .select('id')
      .where('vendor', '=', release.vendor)
      .where('model', '=', release.model)
      .execute()
    const planned = rolloutOfPlan(plan, {
      root: CID.parse(release.id),
      orderKey: (await onlineKeyOf(release.vendor)).publicKey,
      earlier: releasesOf(before, release.model),
      fleet: devices.map(({ id }) => id as EvmAddress),
      nowMs: clock.nowMs(),
    })
    return { ...planned, approval: plan.approval }
  }

  /** What the vendor signed for it, checked against what the repository has by now. */
  const signOwn = async (release: ReleaseRow) => {
    const uploaded = decodePending(release.pending_metadata ?? '{}')
    const { metadata, added } = await accepted(release.vendor, uploaded)
    const [target] = added
    if (target === undefined) throw new ProblemError('tuf-invalid', 'it adds no release')
    return { metadata, sequence: target.sequence, rollout: undefined }
  }

  const renew = async (vendor: string) => {
    const nowMs = clock.nowMs()
    const files = await db
      .selectFrom('tuf_files')
      .select(['name', 'version', 'expires_ms'])
      .where('vendor', '=', vendor)
      .execute()
    const expiryOf = (pattern: RegExp) =>
      Math.max(...files.filter(({ name }) => pattern.test(name)).map((file) => file.expires_ms))
    const isDue = (pattern: RegExp, lifetimeMs: number) =>
      expiryOf(pattern) < nowMs + lifetimeMs / 2
    let metadata: OfflineMetadata & Partial<VendorMetadata> = await current(vendor)
    const seed = await keys.get(vendor, 'tuf-targets')
    let isChanged = isDue(/^timestamp\.json$/, DEFAULT_LIFETIMES.timestampMs)
    if (seed !== undefined) {
      const signers = [createTufSigner(seed)]
      if (isDue(/^\d+\.targets\.json$/, DEFAULT_LIFETIMES.targetsMs)) {
        metadata = { ...metadata, ...renewTargets(metadata, signers, time()) }
        isChanged = true
      }
      for (const role of Object.keys(metadata.lines)) {
        const escaped = encodeURIComponent(role).replaceAll('.', '\\.')
        if (!isDue(new RegExp(`^\\d+\\.${escaped}\\.json$`), DEFAULT_LIFETIMES.targetsMs)) continue
        const model = role.slice('line-'.length)
        metadata = { ...metadata, ...renewLine(metadata, model, signers, time()) }
        isChanged = true
      }
    }
    if (isChanged) await store(vendor, metadata)
  }

  return {
    async createManaged(vendor, into) {
      const root = await signerFromVault(keys, into, vendor, 'tuf-root')
      const targets = await signerFromVault(keys, into, vendor, 'tuf-targets')
      const online = await signerFromVault(keys, into, vendor, 'tuf-online')
      const one = (signer: TufSigner) => ({ keys: [signer], threshold: 1 })
      const offline = createVendorMetadata(
        { root: one(root), targets: one(targets), online: one(online) },
        { root: [root], targets: [targets] },
        time(),
      )
      const whole = signOnline(offline, [online], time())
      for (const { name, bytes, version, expiresMs } of metadataFiles(whole)) {
        await into
          .insertInto('tuf_files')
          .values({ vendor, name, bytes, version, expires_ms: expiresMs })
          .execute()
      }
    },
    async addRelease(release, alongside) {
      const isOwn = release.pending_metadata !== null
      const { metadata, sequence, rollout } = await (isOwn
        ? signOwn(release)
        : signManaged(release))
      const before = await current(release.vendor)
      await store(release.vendor, { ...before, ...metadata }, (transaction) =>
        alongside(transaction, sequence, rollout),
      )
    },
    async check(vendor, uploaded) {
      const { added, removed } = await accepted(vendor, uploaded)
      if (removed.length === 0) return added
      throw new ProblemError('tuf-invalid', 'the metadata takes a release back as well', {
        fix: 'Withdraw releases by themselves.',
      })
    },
    async accept(vendor, uploaded) {
      const { metadata, added } = await accepted(vendor, uploaded)
      if (added.length > 0) {
        throw new ProblemError('tuf-invalid', 'the metadata adds a release', {
          fix: 'Send it together with its release, to /v1/vendors/{vendor}/releases.',
        })
      }
      const before = newestMetadata(await filesOf(db, vendor))
      await store(vendor, { ...before, ...metadata })
    },
    async removeRelease(release, uploaded) {
      const { vendor, model, version } = release
      const before = await current(vendor)
      let metadata: OfflineMetadata
      if (uploaded !== undefined) {
        metadata = (await accepted(vendor, uploaded)).metadata
      } else {
        const seed = await keys.get(vendor, 'tuf-targets')
        // A draft has never been named, and of own-keys vendors only they can take it back.
        if (seed === undefined || release.sequence === null) return
        metadata = removeRelease(before, { model, version }, [createTufSigner(seed)], time())
      }
      await store(vendor, { ...before, ...metadata })
    },
    async renewAll() {
      const vendors = await db
        .selectFrom('tuf_files')
        .select('vendor')
        .where('name', '=', 'timestamp.json')
        .execute()
      for (const { vendor } of vendors) {
        try {
          await renew(vendor)
        } catch (thrown) {
          log.error({ vendor, error: thrown }, 'the TUF metadata of a vendor could not be renewed')
        }
      }
    },
  }
}

async function signerFromVault(
  keys: Parts['keys'],
  db: Database,
  vendor: string,
  purpose: 'tuf-root' | 'tuf-targets' | 'tuf-online',
): Promise<TufSigner> {
  const seed = await keys.get(vendor, purpose, db)
  if (seed === undefined) throw new Error(`vendor ${vendor} has no ${purpose}`)
  return createTufSigner(seed)
}

/** All roots, and of the others the versions that are kept for clients in the middle of a refresh. */
function filesOf(db: Database, vendor: string) {
  return db.selectFrom('tuf_files').select(['name', 'bytes']).where('vendor', '=', vendor).execute()
}

/** The first root.json, where the trust of a device begins. Throws `tuf-root-missing`. */
export async function firstRootOf(
  db: Database,
  vendor: VendorRow['id'],
): Promise<Record<string, unknown>> {
  const row = await db
    .selectFrom('tuf_files')
    .select('bytes')
    .where('vendor', '=', vendor)
    .where('name', '=', '1.root.json')
    .executeTakeFirst()
  if (row !== undefined) return JSON.parse(fromUtf8(row.bytes)) as Record<string, unknown>
  throw new ProblemError('tuf-root-missing', 'the vendor has no root.json yet', {
    fix: 'Register it again: ioex vendor create',
  })
}

/** Base64 of the API, as bytes. */
export function decodeMetadata(upload: {
  readonly root?: string | undefined
  readonly targets?: string | undefined
  readonly lines?: Readonly<Record<string, string>> | undefined
}): UploadedMetadata {
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
  return {
    ...(upload.root === undefined ? {} : { root: bytes(upload.root) }),
    ...(upload.targets === undefined ? {} : { targets: bytes(upload.targets) }),
    ...(upload.lines === undefined
      ? {}
      : {
          lines: Object.fromEntries(
            Object.entries(upload.lines).map(([role, text]) => [role, bytes(text)]),
          ),
        }),
  }
}

function decodePending(json: string): UploadedMetadata {
  return decodeMetadata(JSON.parse(json) as Parameters<typeof decodeMetadata>[0])
}
