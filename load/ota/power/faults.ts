/**
 * Faults in this process: a real agent with a real store works on a disk that loses its power at one of its
 * changes; the next agent starts on what such a disk may hold, and so on until the release is installed.
 */
import { cp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { asError, type Random } from '@ioex/node/base'
import type { DeviceNeeds } from '@ioex/node/device'
import { seededRandom } from '@ioex/node/testing'
import type { FakeGateway } from '@ioex/node/testing/devices'
import { type DiskOperation, mountDisk, type PowerCutDisk } from '@ioex/node/testing/power-cut'
import {
  type Cut,
  type Fault,
  faultOf,
  type Scenario,
  SCENARIOS,
  type Step,
  stepOf,
} from './plan.ts'
import { type DiskFacts, type Finding, inspectDisk } from './verdict.ts'
import {
  copySeed,
  homeOf,
  startDevice,
  startSurroundings,
  type Surroundings,
  VERSIONS,
  type World,
} from './world.ts'

/** An update without any fault. */
interface Undisturbed {
  /** Changes of the disk, by step. */
  readonly counts: ReadonlyMap<Step | 'any', number>
  readonly servedBytes: number
}
export type Census = ReadonlyMap<Scenario, Undisturbed>

export interface FaultResult {
  readonly fault: Fault
  /** Steps in which the power went, one for each cut that was reached. */
  readonly cutIn: readonly {
    readonly step: Step
    readonly at: string
    readonly loss: Cut['loss']
  }[]
  readonly findings: readonly Finding[]
  /** What booted after the last cut. */
  readonly bootedAfter: 'old' | 'new' | 'nothing yet' | 'broken'
  /** Verified and durable blocks that a cut has cost: the most of any one. */
  readonly lostBlocks: number
  /** Sealed bytes that the seed sent more than once, over all cuts. */
  readonly bytesAgain: number
  /** Reports of the confirmation that came again because a cut fell between telling and noting. */
  readonly toldAgain: number
}

/** Rounds that the last life may take: sources that were cut off are asked again. */
const MAX_ROUNDS = 5
/**
 * A seed writes off one window of what a device has not receipted, and forgets it in 30 s. Cuts that come faster than
 * that leave the device without credit: it gives up the session, and begins another one with a fresh grant.
 */
const GIVE_UP_AFTER_MS = 2_000
/** Of a fault that takes a second; a device that hangs is a finding. */
const STUCK_AFTER_MS = 60_000

interface LifeEnd {
  readonly died: { readonly step: Step; readonly at: string } | undefined
  readonly version: string | undefined
  readonly told: ReadonlySet<string>
  readonly refreshed: boolean
  readonly confirmedRoots: readonly string[]
  readonly counts: ReadonlyMap<Step | 'any', number>
  readonly unseen: readonly string[]
  readonly failure: string | undefined
  /** Blocks that were owed and are not there; undefined when the life ended before they could be looked for. */
  readonly lost: number | undefined
}

/** One life: until the release is installed, or the power goes. */
async function live(
  around: Surroundings,
  home: string,
  /** CIDs of blocks that an earlier life was told are durable, while their release is still being fetched. */
  owed: ReadonlySet<string>,
  cut:
    | (Cut & { readonly after: number; readonly into: string; readonly random: Random })
    | undefined,
): Promise<LifeEnd> {
  const counts = new Map<Step | 'any', number>()
  const told = new Set<string>()
  const confirmedRoots: string[] = []
  const power = new AbortController()
  let lastEvent = ''
  let refreshed = false
  let died: LifeEnd['died']
  let failure: string | undefined
  const count = (step: Step | 'any') => {
    const now = (counts.get(step) ?? 0) + 1
    counts.set(step, now)
    return now
  }
  const disk = mountDisk(home, {
    diesAt(operation) {
      const step = stepOf(operation, lastEvent)
      const [own, all] = [count(step), count('any')]
      if (cut === undefined || died !== undefined) return undefined
      if (cut.step === 'any' ? all !== cut.after : step !== cut.step || own !== cut.after)
        return undefined
      return cut.moment
    },
    onDeath(dead: PowerCutDisk, operation: DiskOperation) {
      if (cut === undefined) return
      dead.cut(cut.into, cut)
      died = {
        step: stepOf(operation, lastEvent),
        at: `${cut.moment} ${operation.kind} ${operation.path}`,
      }
      power.abort(new Error('the power went'))
    },
  })
  const gateway: FakeGateway = {
    ...around.gateway,
    fetch(url, init) {
      // Without power nothing is said; the abort has ended whoever waits.
      if (died !== undefined) return Promise.reject(new TypeError('fetch failed'))
      return around.gateway.fetch(url, init)
    },
  }
  const watch = (needs: DeviceNeeds): DeviceNeeds => ({
    ...needs,
    releases: {
      current: (model) => needs.releases.current(model),
      async refresh(options) {
        const result = await needs.releases.refresh(options)
        if (result.ok && died === undefined) refreshed = true
        return result
      },
    },
    exchange: {
      openSession(options) {
        const session = needs.exchange.openSession(options)
        const tell = (cid: CID) => {
          if (died === undefined) told.add(cid.toString())
        }
        return {
          async get(cid, abort) {
            const bytes = await session.get(cid, abort)
            tell(cid)
            return bytes
          },
          async fetch(cid, abort) {
            const held = await session.fetch(cid, abort)
            tell(cid)
            return held
          },
          addSource: (source) => session.addSource(source),
          report: () => session.report(),
          close: () => session.close(),
        }
      },
    },
  })
  let version: string | undefined
  let lost: number | undefined
  let stop: (() => Promise<void>) | undefined
  try {
    const device = await startDevice(around, home, {
      gateway,
      giveUpAfterMs: GIVE_UP_AFTER_MS,
      wrap: watch,
      onEvent(event) {
        if (died !== undefined) return
        lastEvent = event.name
        if (event.name === 'confirmed') confirmedRoots.push(event.installed.root)
      },
    })
    stop = () => device.stop()
    power.signal.addEventListener('abort', () => device.node.net.fail(), { once: true })
    let missing = 0
    for (const cid of owed) {
      if (!(await device.node.storage.blocks.has(CID.parse(cid)))) missing++
    }
    lost = missing
    for (let round = 0; round < MAX_ROUNDS && died === undefined; round++) {
      const { outcome, installed, waiting } = await device.agent.update({ signal: power.signal })
      version = installed?.version
      failure = waiting === null ? undefined : `${waiting.reason}: ${waiting.detail}`
      if (outcome === 'updated' || outcome === 'up-to-date') break
    }
  } catch (thrown) {
    if (died === undefined) failure = asError(thrown).stack ?? String(thrown)
  }
  // What was cut off holds files still; it is stopped where that hurts nothing any more.
  if (died !== undefined) disk.unmount()
  await stop?.().catch((thrown: unknown) => {
    if (died === undefined) failure ??= asError(thrown).stack
  })
  const unseen = died === undefined ? disk.unseen() : []
  disk.unmount()
  return { died, version, told, refreshed, confirmedRoots, counts, unseen, failure, lost }
}

export async function takeCensus(folder: string, world: World): Promise<Census> {
  const census = new Map<Scenario, Undisturbed>()
  for (const scenario of SCENARIOS) {
    const scratch = join(folder, `census-${scenario.replace(' ', '-')}`)
    const { around, home } = await prepare(folder, world, scenario, scratch)
    const { counts, failure, unseen } = await live(around, home, new Set(), undefined)
    const servedBytes = around.seed.exchange.served().bytes
    await around.stop()
    await rm(scratch, { recursive: true })
    if (failure !== undefined || unseen.length > 0) {
      throw new Error(
        `without any fault: ${failure ?? `changes of ${unseen.join(', ')} were not seen`}`,
      )
    }
    census.set(scenario, { counts, servedBytes })
  }
  return census
}

async function prepare(folder: string, world: World, scenario: Scenario, scratch: string) {
  await mkdir(scratch)
  await copySeed(folder, scratch)
  const home = join(scratch, 'life-0')
  await cp(homeOf(folder, scenario), home, { recursive: true, verbatimSymlinks: true })
  const around = await startSurroundings(scratch, world, { newest: 1 })
  return { around, home }
}

/** Undefined when the first cut was not reached. */
async function runOnce(
  folder: string,
  world: World,
  census: Census,
  fault: Fault,
  random: Random,
): Promise<FaultResult | undefined> {
  const { scenario } = fault
  const scratch = join(folder, `fault-${fault.number}`)
  const { around, home: firstHome } = await prepare(folder, world, scenario, scratch)
  const target = world.releases[1]
  const findings: Finding[] = []
  const cutIn: FaultResult['cutIn'][number][] = []
  const undisturbed = census.get(scenario)
  let home = firstHome
  let before = await inspectDisk(home, { mayBeEmpty: scenario === 'first install', floor: 0 })
  let floor = before.metadataVersion
  let bootedAfter: FaultResult['bootedAfter'] = 'nothing yet'
  let lostBlocks = 0
  const owed = new Set<string>()
  try {
    for (let number = 0; ; number++) {
      const planned = fault.cuts[number]
      const into = join(scratch, `life-${number + 1}`)
      const cut =
        planned === undefined
          ? undefined
          : {
              ...planned,
              after: 1 + Math.floor(planned.share * (undisturbed?.counts.get(planned.step) ?? 1)),
              into,
              random,
            }
      const end = await live(around, home, owed, cut)
      lostBlocks = Math.max(lostBlocks, end.lost ?? 0)
      const twice = end.confirmedRoots.filter((root) => root === before.state?.installed?.root)
      if (twice.length > 0) findings.push({ harm: 'confirmed twice', detail: twice.join() })
      if (end.refreshed) floor = Math.max(floor, newestVersion(world))
      if (end.died === undefined) {
        if (number === 0) return undefined
        if (end.version !== '2.0.0') {
          findings.push({
            harm: 'not at the new release',
            detail: end.failure ?? String(end.version),
          })
        }
        if (end.unseen.length > 0) {
          findings.push({ harm: 'change not seen', detail: end.unseen.join() })
        }
        const last = await inspectDisk(home, { mayBeEmpty: false, floor: newestVersion(world) })
        findings.push(...last.findings)
        if (last.boots !== '2.0.0') {
          findings.push({ harm: 'not at the new release', detail: `${last.boots} boots` })
        }
        break
      }
      cutIn.push({ ...end.died, loss: planned?.loss ?? 'kill' })
      home = into
      const after = await inspectDisk(home, { mayBeEmpty: scenario === 'first install', floor })
      findings.push(...after.findings)
      const confirmed = around.gateway.reports.some(
        ({ event, root }) => event === 'confirmed' && root === target?.root,
      )
      if (confirmed && after.state?.installed?.root !== target?.root) {
        findings.push({ harm: 'confirmed twice', detail: 'it was told and is not on the disk' })
      }
      bootedAfter = bootOf(after)
      if (end.lost !== undefined) owed.clear()
      for (const cid of end.told) owed.add(cid)
      // Behind the fetch nobody needs them any more.
      if (after.state?.phase.name !== 'fetching') owed.clear()
      before = after
    }
    if (lostBlocks > 1)
      findings.push({ harm: 'verified block again', detail: `${lostBlocks} of them` })
    const told = around.gateway.reports.filter(
      ({ event, root }) => event === 'confirmed' && root === target?.root,
    )
    const different = new Set(told.map((report) => JSON.stringify(report)))
    if (different.size !== 1) {
      findings.push({
        harm: 'confirmed twice',
        detail: `${different.size} confirmations were told`,
      })
    }
    const servedBytes = around.seed.exchange.served().bytes
    return {
      fault,
      cutIn,
      findings,
      bootedAfter,
      lostBlocks,
      bytesAgain: Math.max(0, servedBytes - (undisturbed?.servedBytes ?? 0)),
      toldAgain: told.length - different.size,
    }
  } finally {
    await around.stop()
    await rm(scratch, { recursive: true, force: true })
  }
}

function newestVersion(world: World): number {
  const text = world.repositories[1]?.['timestamp.json'] ?? ''
  const { signed } = JSON.parse(Buffer.from(text, 'base64').toString()) as {
    readonly signed: { readonly version: number }
  }
  return signed.version
}

function bootOf({ boots, findings }: DiskFacts): FaultResult['bootedAfter'] {
  if (findings.some(({ harm }) => harm === 'bricked')) return 'broken'
  return boots === undefined ? 'nothing yet' : boots === VERSIONS[0] ? 'old' : 'new'
}

/** How often a cut that was not reached is tried again, each time half as far into its step. */
const ATTEMPTS = 8

/** One fault, from its number and the seed alone. */
export async function runFault(
  folder: string,
  world: World,
  census: Census,
  given: { readonly seed: string; readonly number: number },
): Promise<FaultResult> {
  const { seed, number } = given
  for (let attempt = 0, share = 1; attempt < ATTEMPTS; attempt++, share /= 2) {
    const random = seededRandom(`${seed} fault ${number}`)
    const planned = faultOf(number, random)
    const [first, ...others] = planned.cuts
    if (first === undefined) break
    const fault = { ...planned, cuts: [{ ...first, share: first.share * share }, ...others] }
    const result = await within(runOnce(folder, world, census, fault, random), number)
    if (result !== undefined) return result
  }
  throw new Error(`fault ${number}: its first cut was never reached`)
}

async function within<T>(work: Promise<T>, number: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stuck = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`fault ${number} hangs`)), STUCK_AFTER_MS)
  })
  try {
    return await Promise.race([work, stuck])
  } finally {
    clearTimeout(timer)
  }
}
