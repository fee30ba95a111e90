import { CID } from 'multiformats/cid'
import { type AbortOptions, codeOf, type Log, toHex } from '../base/index.ts'
import type { Exchange, FetchReport, FetchSession } from '../exchange/index.ts'
import { unwrapCheckedReleaseKey } from '../firmware/index.ts'
import type { Identity } from '../identity/index.ts'
import type { DeviceBook } from '../receipts/index.ts'
import type { PinSession } from '../storage/index.ts'
import type { Credentials, CredentialStore } from './credentials.ts'
import type { FetchPins } from './fetch-pins.ts'
import { DELTA_GIVE_UP_MS, FETCH_ATTEMPTS } from './limits.ts'
import type { Slots } from './slots.ts'
import type { FetchTotals, InstalledRelease, SlotName, Target } from './types.ts'
import { openTarget, type Written, type WrittenImage, writeImage } from './write-image.ts'

export interface FetchNeeds {
  readonly identity: Pick<Identity, 'ageIdentity'>
  readonly exchange: Pick<Exchange, 'openSession'>
  readonly pins: FetchPins
  readonly deviceBook: Pick<DeviceBook, 'grantBytes'>
  readonly credentials: CredentialStore
  readonly slots: Slots
  readonly log: Log
}

export interface FetchJob {
  readonly vendor: string
  readonly model: string
  readonly target: Target
  readonly slot: SlotName
  readonly installed: InstalledRelease | null
  /** Of earlier runs of the same fetch. */
  readonly totals: FetchTotals
  /** Where chunk indexes are kept. */
  readonly folder: string
  readonly giveUpAfterMs: number | undefined
  readonly keepBlocks?: boolean
}

export interface FetchEvents {
  /** After each session, and at the end: to be made durable before anything else. */
  readonly onTotals: (totals: FetchTotals) => Promise<void>
  readonly onProgress: (progress: {
    readonly stagedBytes: number
    readonly imageBytes: number
    readonly fetchedBytes: number
    readonly sources: number
  }) => void
  /** All bytes are in the part file and durable; it will be read back now. */
  readonly onStaged: () => void
}

/**
 * Brings the target's image into the slot, verified and under its name. Sessions end when sources run dry or
 * the grant is used up; then it is tried again with fresh ones. Throws what the rooms below throw, DeviceErrors
 * and ApiError.
 */
export async function fetchRelease(
  needs: FetchNeeds,
  job: FetchJob,
  events: FetchEvents,
  options: AbortOptions = {},
): Promise<WrittenImage> {
  let { totals } = job
  for (let attempt = 1; ; attempt++) {
    const credentials = await obtain(needs, job, attempt > 1, options)
    const pin = await needs.pins.open(job.target.root)
    const session = needs.exchange.openSession({
      root: pin.root,
      sources: credentials.sources,
      grant: credentials.grant,
      pin,
      ...(job.giveUpAfterMs === undefined ? {} : { giveUpAfterMs: job.giveUpAfterMs }),
    })
    const deltaSession = await openDelta(needs, job, credentials)
    const sessions = deltaSession === undefined ? [session] : [session, deltaSession]
    let reusedChunks = 0
    try {
      const running = { session, deltaSession, sessions, pin, credentials, earlier: totals, events }
      const done = await fetchWith(needs, job, running, options)
      reusedChunks = done.reusedChunks
      return done
    } catch (thrown) {
      options.signal?.throwIfAborted()
      if (!isWorthAnotherSession(thrown) || attempt >= FETCH_ATTEMPTS) throw thrown
    } finally {
      await Promise.all(sessions.map((each) => each.close()))
      totals = added(totals, reportOf(sessions), reusedChunks, bookBytes(needs, credentials))
      await events.onTotals(totals)
    }
  }
}

function isWorthAnotherSession(thrown: unknown): boolean {
  const code = codeOf(thrown)
  return code === 'no-source' || code === 'image-mismatch' || code === 'delta-useless'
}

/** Beside the session for the release, as a grant holds for one of two roots at a time. */
async function openDelta(
  needs: FetchNeeds,
  { target, giveUpAfterMs = DELTA_GIVE_UP_MS }: FetchJob,
  { grant, sources }: Credentials,
): Promise<FetchSession | undefined> {
  if (target.delta === undefined) return undefined
  const root = CID.parse(target.delta.root)
  if (grant.message.deltaRoot !== toHex(root.multihash.digest)) return undefined
  const pin = await needs.pins.open(target.delta.root)
  return needs.exchange.openSession({
    root,
    sources,
    grant,
    pin,
    giveUpAfterMs: Math.min(giveUpAfterMs, DELTA_GIVE_UP_MS),
  })
}

function reportOf(sessions: readonly FetchSession[]): FetchReport {
  const reports = sessions.map((each) => each.report())
  const sum = (of: (report: FetchReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0)
  return {
    sources: reports.flatMap(({ sources }) => sources),
    fetchedBytes: sum(({ fetchedBytes }) => fetchedBytes),
    fetchedBlocks: sum(({ fetchedBlocks }) => fetchedBlocks),
    reusedBlocks: sum(({ reusedBlocks }) => reusedBlocks),
  }
}

async function obtain(
  needs: FetchNeeds,
  { target, installed }: FetchJob,
  renew: boolean,
  options: AbortOptions,
): Promise<Credentials> {
  // What a delta was expected to cost has not been enough: the next grant is for all chunks.
  const baseRoot = renew ? undefined : installed?.root
  return needs.credentials.obtain(
    { root: target.root, renew, ...(baseRoot === undefined ? {} : { baseRoot }) },
    options,
  )
}

interface Running {
  readonly session: FetchSession
  readonly deltaSession: FetchSession | undefined
  readonly sessions: readonly FetchSession[]
  readonly pin: PinSession
  readonly credentials: Credentials
  readonly earlier: FetchTotals
  readonly events: FetchEvents
}

async function fetchWith(
  needs: FetchNeeds,
  job: FetchJob,
  { session, deltaSession, sessions, pin, credentials, earlier, events }: Running,
  options: AbortOptions,
): Promise<Written> {
  const { ageIdentity } = needs.identity
  const { target } = job
  const key = await unwrapCheckedReleaseKey(credentials.wrap, ageIdentity, target.releaseKeyHash)
  const release = openTarget(job, await session.get(CID.parse(target.root), options), key)
  return writeImage(
    needs,
    {
      get: (cid, abort) => session.get(cid, abort),
      fetch: (cid, abort) => session.fetch(cid, abort),
      ...(job.keepBlocks === true ? { onReused: (cid) => pin.adopt(cid) } : {}),
      ...(deltaSession === undefined
        ? {}
        : {
            delta: {
              releaseKey: key,
              get: (cid, abort) => deltaSession.get(cid, abort),
              fetch: (cid, abort) => deltaSession.fetch(cid, abort),
            },
          }),
      // Blocks and image stand on the disk together.
      storedBytes: release.sealedBytes,
    },
    { ...job, release },
    {
      onStaged: () => events.onStaged(),
      onProgress(stagedBytes) {
        const report = reportOf(sessions)
        events.onProgress({
          stagedBytes,
          imageBytes: release.imageBytes,
          fetchedBytes: earlier.fetchedBytes + report.fetchedBytes,
          sources: new Set(
            report.sources.filter(({ outcome }) => outcome === 'used').map(({ peerId }) => peerId),
          ).size,
        })
      },
    },
    options,
  )
}

/** The book is what receipts were signed from, and survives a crash that a session's own count does not. */
function bookBytes(needs: FetchNeeds, { grantIds }: Credentials): number {
  return grantIds.reduce((sum, id) => sum + Number(needs.deviceBook.grantBytes(id)), 0)
}

function added(
  before: FetchTotals,
  report: FetchReport,
  reusedChunks: number,
  receiptedBytes: number,
): FetchTotals {
  const sources: Record<string, number> = { ...before.sources }
  let receipts = before.receipts
  for (const source of report.sources) {
    receipts += source.receipts
    if (source.bytes > 0) sources[source.peerId] = (sources[source.peerId] ?? 0) + source.bytes
  }
  return {
    fetchedBytes: Math.max(before.fetchedBytes + report.fetchedBytes, receiptedBytes),
    fetchedBlocks: before.fetchedBlocks + report.fetchedBlocks,
    reusedBlocks: before.reusedBlocks + report.reusedBlocks + reusedChunks,
    receipts,
    receiptedBytes: Math.max(before.receiptedBytes, receiptedBytes),
    sources,
  }
}
