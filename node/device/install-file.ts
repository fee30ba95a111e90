import { type AbortOptions, codeOf } from '../base/index.ts'
import { treeBlocks } from '../chunks/index.ts'
import {
  type OpenedRelease,
  type ReleaseTarget,
  type TrustedReleases,
  unwrapCheckedReleaseKey,
} from '../firmware/index.ts'
import type { DeviceNeeds, DeviceOptions, UpdateOutcome } from './agent-types.ts'
import { type CarFile, incomplete, openCarFile } from './car-file.ts'
import { forgetCredentials } from './credentials.ts'
import type { DeviceEvent } from './events.ts'
import { createFetchPins } from './fetch-pins.ts'
import { createOwnReleases, type Membership, trustedMetadata } from './gateway-releases.ts'
import { type LastingReport, withReports } from './reporter.ts'
import { metadataRefused, targetOf } from './round.ts'
import { createSettler } from './settle.ts'
import { openStateFile, type StateFile } from './state-file.ts'
import { deviceError, NO_TOTALS, type Target } from './types.ts'
import { createUpdater } from './updater.ts'
import { openTarget, writeImage } from './write-image.ts'

export type FileInstallNeeds = Pick<
  DeviceNeeds,
  'identity' | 'storage' | 'slots' | 'installer' | 'clock' | 'log' | 'onEvent'
>

export interface FileInstallOptions extends AbortOptions {
  /** Of the device, as in DeviceOptions. */
  readonly folder: string
  readonly enrollment: Membership
  /** A CAR that `releaseFileBlocks` begins. */
  readonly file: string
  /** While the file is read through for the first time; nothing is touched before that is done. */
  readonly onChecked?: (doneBytes: number, fileBytes: number) => void
}

/**
 * One round of the agent with a file in the place of gateway and peers, for a device without any network and
 * maybe without a right clock. The file is trusted as little as they are: the same metadata decides, the same
 * hashes are compared, the same phases are noted, and reports wait on disk until there is a network. No agent may
 * run in the same folder meanwhile. Throws what was wrong with the file as a DeviceError; then the device is as
 * it was, or in a phase from which the agent, or the same call, goes on.
 */
export async function installFile(
  needs: FileInstallNeeds,
  options: FileInstallOptions,
): Promise<UpdateOutcome> {
  const { enrollment, folder, file, signal } = options
  const abort = signal === undefined ? {} : { signal }
  const car = await openCarFile(file, {
    ...abort,
    ...(options.onChecked === undefined ? {} : { onProgress: options.onChecked }),
  })
  try {
    requireForUs(car, enrollment)
    const state = await openStateFile(folder)
    const { updater, settler } = assemble(needs, state, options)
    await updater.forgetLostImage()
    const before = await settler.settle(abort)
    await settler.tidy()
    const target = await look(needs, state, car, options)
    if (target !== undefined) {
      const release = await openFrom(needs, car, target, options)
      await updater.bring(
        target,
        (job, events) => writeFrom(needs, car, { ...job, release }, events, abort),
        abort,
      )
    }
    const after = target === undefined ? 'nothing' : await settler.settle(abort)
    await settler.tidy()
    const { installed, waiting, outbox } = state.now
    const settled = after === 'nothing' ? before : after
    return {
      outcome: settled === 'nothing' ? 'up-to-date' : settled,
      installed,
      totals: settler.totals() ?? NO_TOTALS,
      waiting,
      reportsPending: outbox.length,
    }
  } finally {
    await car.close()
  }
}

function assemble(needs: FileInstallNeeds, state: StateFile, options: FileInstallOptions) {
  const { vendor, model } = options.enrollment
  const { folder } = options
  const parts = {
    ...needs,
    state,
    pins: createFetchPins(needs.storage),
    credentials: { clear: () => forgetCredentials({ folder }) },
    reporter: {
      with: (...reports: readonly LastingReport[]) => withReports(state, needs, reports),
      // Nobody listens here, and what is over tells itself by the report of its end.
      progress: () => undefined,
    },
    emit(event: DeviceEvent) {
      needs.log.debug({ event: event.name }, 'device')
      needs.onEvent?.(event)
    },
  }
  const own: DeviceOptions = { folder, vendor, model }
  const settler = createSettler(parts, own)
  return { settler, updater: createUpdater({ ...parts, settler }, own) }
}

/** Nobody signed this; it only tells a person early that the wrong file was taken. */
function requireForUs(
  { head }: CarFile,
  { vendor, model }: FileInstallOptions['enrollment'],
): void {
  if (head.vendor === vendor && head.model === model) return
  throw deviceError(
    'car-not-for-this-device',
    `the file is for ${head.model} by ${head.vendor}; this device is ${model} by ${vendor}`,
    { blame: 'caller', fix: 'Take the file for this model.' },
  )
}

/** What metadata says shall run here, if it does not run and the file holds it. */
async function look(
  needs: FileInstallNeeds,
  state: StateFile,
  car: CarFile,
  options: FileInstallOptions,
): Promise<Target | undefined> {
  const { head } = car
  const newest = await newestFrom(needs, car, options)
  const { installed, rejected } = state.now
  if (!newest.root.equals(head.root)) {
    throw older(`the file holds ${head.version}, but ${newest.version} is published by now`)
  }
  if (newest.root.toString() === installed?.root) return undefined
  const target = targetOf(newest)
  if (installed !== null && target.sequence <= installed.sequence) {
    throw older(
      `the file holds ${target.version}, which is older than ${installed.version}, which runs`,
    )
  }
  if (target.root !== rejected?.root) return target
  throw deviceError(
    'release-refused',
    `${target.version} was tried on this device before and did not do: ${rejected.reason}`,
    { blame: 'caller', fix: 'Take a file with a newer release.' },
  )
}

/**
 * By the metadata in the file, or by what the device knows already where that is newer: a file that was made
 * on Monday is still good for a device that heard on Tuesday that nothing has changed.
 */
async function newestFrom(
  needs: FileInstallNeeds,
  car: CarFile,
  options: FileInstallOptions,
): Promise<ReleaseTarget> {
  const store = trustedMetadata(options.folder)
  const open = (
    fetchMetadata: (name: string) => Promise<Uint8Array | undefined>,
  ): TrustedReleases =>
    createOwnReleases({ ...needs, store, fetchMetadata }, { ...options, isCarried: true })
  let releases = open(async (name) => {
    const cid = car.head.metadata.get(name)
    return cid === undefined ? undefined : car.get(cid, options)
  })
  let refreshed = await releases.refresh(options)
  if (!refreshed.ok && refreshed.reason === 'metadata-rolled-back') {
    const known = (await store.load()).get('timestamp')
    releases = open((name) => Promise.resolve(name === 'timestamp.json' ? known : undefined))
    refreshed = await releases.refresh(options)
  }
  if (!refreshed.ok) throw metadataRefused(refreshed.reason)
  const newest = releases.newest(options.enrollment.model)
  if (newest !== undefined) return newest
  throw deviceError('release-refused', 'the metadata in the file names no release of this model', {
    blame: 'caller',
    fix: 'Make the file again: ioex firmware export --release ROOT --out FILE.car',
  })
}

/** All that can be wrong with the file is found here, before a slot is touched. */
async function openFrom(
  needs: FileInstallNeeds,
  car: CarFile,
  target: Target,
  { enrollment, signal }: FileInstallOptions,
): Promise<OpenedRelease> {
  const key = await keyFrom(needs, car, target)
  const meant = { vendor: enrollment.vendor, model: enrollment.model, target }
  const release = openTarget(meant, await car.get(car.head.root), key)
  const walk = { maxPlainBytes: release.imageBytes, ...(signal === undefined ? {} : { signal }) }
  for await (const { kind, cid } of treeBlocks(release.treeRef, car.get, walk)) {
    if (!car.has(cid)) throw incomplete(`the ${kind} ${cid.toString()} is not in it`)
  }
  return release
}

async function keyFrom(
  { identity }: FileInstallNeeds,
  car: CarFile,
  { releaseKeyHash }: Target,
): Promise<Uint8Array> {
  for (const cid of car.head.wraps) {
    try {
      return await unwrapCheckedReleaseKey(await car.get(cid), identity.ageIdentity, releaseKeyHash)
    } catch (thrown) {
      // Of another cohort.
      if (codeOf(thrown) !== 'wrap-invalid') throw thrown
    }
  }
  throw deviceError('no-release-key', 'the file holds no release key for this device', {
    blame: 'caller',
    fix: 'Make the file again, now that the device is enrolled: ioex firmware export',
  })
}

async function writeFrom(
  needs: FileInstallNeeds,
  car: CarFile,
  job: Parameters<typeof writeImage>[2],
  events: Parameters<Parameters<ReturnType<typeof createUpdater>['bring']>[1]>[1],
  abort: AbortOptions,
) {
  const { imageBytes } = job.release
  return writeImage(
    needs,
    {
      get: car.get,
      read: (cid, wait) => car.read(cid, wait),
      // The bytes are on the disk already: they are read when there is room to open them.
      fetch: () => Promise.resolve(undefined),
      storedBytes: 0,
    },
    job,
    {
      onStaged: () => events.onStaged(),
      onProgress: (stagedBytes) =>
        events.onProgress({ stagedBytes, imageBytes, fetchedBytes: 0, sources: 0 }),
    },
    abort,
  )
}

function older(message: string) {
  return deviceError('downgrade-refused', message, {
    blame: 'caller',
    fix: 'Take a file with the newest release.',
  })
}
