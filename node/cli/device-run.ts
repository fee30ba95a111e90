import { join } from 'node:path'
import {
  asError,
  createLog,
  type Log,
  type Startable,
  systemRandom,
  tuneForSmallMemory,
} from '../base/index.ts'
import type { GatewayClient } from '../api/index.ts'
import type {
  DeviceAgent,
  DeviceEvent,
  DeviceState,
  Enrolled,
  Installer,
  Slots,
  UpdateOutcome,
} from '../device/index.ts'
import type { TrustedReleases } from '../firmware/index.ts'
import type { Identity } from '../identity/index.ts'
import type { AgentValues } from './agent-options.ts'
import type { Call } from './command.ts'
import { startControl } from './control.ts'
import { createDeviceDisplay } from './device-display.ts'
import { ExitCode } from './exit-codes.ts'
import { Failure } from './failure.ts'
import { formatBytes } from './format.ts'
import { homeFolder, homePaths } from './home.ts'
import { openHomeKeystore } from './home-keystore.ts'
import { slotsOf, type SlotValues } from './installer-options.ts'
import { policyOf } from './policy-options.ts'
import type { JsonObject } from './say.ts'
import { uploadCaps } from './upload-options.ts'

interface DeviceRunValues extends AgentValues, SlotValues {
  readonly home: string | undefined
  readonly passphraseFile: string | undefined
  readonly once: boolean
  readonly follow: boolean
  readonly space: number
}

/** A device has no address that anybody knows by heart. */
const ANY_PORT = '/ip4/0.0.0.0/tcp/0'

export type DeviceCall = Call<DeviceRunValues, unknown>

/** What an installer may need of the agent that it works for. */
interface AgentParts {
  readonly identity: Identity
  readonly api: GatewayClient
  readonly releases: TrustedReleases
  readonly slots: Slots
  readonly status: () => DeviceState
  readonly enrolled: Enrolled
  /** Of the device's files. */
  readonly folder: string
  readonly log: Log
}

/** How images become the running ones: a command, or clients that ask for them. */
interface Installing {
  readonly installer: Installer
  /** Told once the agent runs. */
  readonly ready?: { readonly json: JsonObject; readonly text: string }
  readonly onEvent?: (event: DeviceEvent) => void
  readonly stop?: () => Promise<void>
}
type MakeInstalling = (parts: AgentParts) => Promise<Installing>

export function notEnrolled(home: string): Failure {
  return new Failure('not-enrolled', `this device belongs to no fleet yet (home ${home})`, {
    fix: 'Enrol it:  ioex device enroll --gateway URL --code CODE',
    exitCode: ExitCode.signIn,
  })
}

/** One round with --once, else until it is stopped. */
export async function runDevice(
  call: DeviceCall,
  makeInstalling: MakeInstalling,
): Promise<ExitCode | undefined> {
  const { options, say, system, signal, debug } = call
  tuneForSmallMemory()
  const home = homeFolder(options.home, system.env)
  const { readEnrollment } = await import('../device/index.ts')
  const enrolled = await readEnrollment(homePaths(home).device, system)
  if (enrolled === undefined) throw notEnrolled(home)
  const log = createLog({ name: 'ioex-device', level: debug ? 'debug' : 'error' })
  const display = createDeviceDisplay(say, {
    follows: !options.once || options.follow,
    clock: system.clock,
  })
  const parts: Pick<Startable, 'stop'>[] = []
  try {
    // First of all, as it is what keeps a second agent out of this home.
    parts.unshift(await startControl(home, {}))
    const { agent, ready, stop } = await assemble(call, {
      ...{ home, enrolled, log, makeInstalling },
      onEvent: display.show,
    })
    parts.unshift({ stop })
    if (options.once) {
      const outcome = await agent.update({ signal })
      say.result({
        json: outcomeJson(enrolled, outcome),
        text: outcomeText(outcome),
        id: outcome.installed?.version ?? 'none',
      })
      return exitCodeOf(outcome)
    }
    parts.unshift(agent)
    await agent.start()
    const { device, model } = enrolled.enrollment
    say.event({
      json: { ready: true, device, model, home, ...ready?.json },
      text: `${ready?.text ?? ''}Waiting for releases of ${model}. Stop with Ctrl-C.`,
    })
    await new Promise<void>((resume) => {
      if (signal.aborted) resume()
      signal.addEventListener('abort', () => resume(), { once: true })
    })
    return undefined
  } finally {
    display.stop()
    for (const part of parts) await part.stop()
  }
}

async function assemble(
  { options, system, signal }: DeviceCall,
  given: {
    readonly home: string
    readonly enrolled: Enrolled
    readonly log: Log
    readonly makeInstalling: MakeInstalling
    readonly onEvent: (event: DeviceEvent) => void
  },
): Promise<
  Pick<Installing, 'ready'> & { readonly agent: DeviceAgent; readonly stop: () => Promise<void> }
> {
  const { home, enrolled, log } = given
  const { enrollment, networkFile, gateway } = enrolled
  const { clock } = system
  const folder = homePaths(home).device
  const { identity, nospam } = await openHomeKeystore({ ...options, home, system })
  const [{ createNode }, device, { createGatewayClient }, { createReceiptHandIn }] =
    await Promise.all([
      import('../create-node.ts'),
      import('../device/index.ts'),
      import('../api/index.ts'),
      import('../exchange/index.ts'),
    ])
  const api = createGatewayClient(
    { clock, fetch: (url, init) => fetch(url, init) },
    { gateway, token: enrollment.token },
  )
  const node = await createNode(
    { identity, log },
    {
      home,
      role: 'device',
      nospam: () => nospam,
      networkFile,
      serve: !options.fetchOnly,
      lan: options.lan,
      ...(options.fetchOnly
        ? { listen: [] }
        : {
            listen: options.listen.length === 0 ? [ANY_PORT] : options.listen,
            httpListen: options.httpListen,
          }),
      ...uploadCaps(options),
      quotaBytes: options.space,
      acceptPins: false,
    },
  )
  const renewNetwork = async () => {
    try {
      await device.renewNetworkFile(folder, await api.networkFile({ signal }), { clock })
    } catch (thrown) {
      log.warn({ error: asError(thrown) }, 'the newer network file was not taken')
    }
  }
  const slots = slotsOf(options, { device, clock, log, folder: join(folder, 'slots') })
  const releases = device.createGatewayReleases({ api, clock, log }, { folder, enrollment })
  const installing = await given.makeInstalling({
    ...{ identity, api, releases, slots, enrolled, folder, log },
    status: () => agent.status(),
  })
  const agent: DeviceAgent = await device.createDeviceAgent(
    {
      ...node,
      ...{ api, releases, slots },
      installer: installing.installer,
      clock,
      random: systemRandom,
      log,
      conditions: device.createSystemConditions({ clock }, options),
      onEvent(event) {
        given.onEvent(event)
        installing.onEvent?.(event)
        // Used from the next start on; the present one goes on with what it has.
        if (event.name === 'network-file') void renewNetwork()
      },
    },
    {
      folder,
      vendor: enrollment.vendor,
      model: enrollment.model,
      keepBlocks: options.keepBlocks,
      groups: options.group,
      networkVersion: networkFile.version,
      policy: policyOf(options, device.parseTimeWindow),
      hooksFolder: options.hooks,
      ...(options.giveUpAfter === undefined ? {} : { giveUpAfterMs: options.giveUpAfter }),
    },
  )
  const handIn = createReceiptHandIn({
    ...node,
    ...node.storage,
    book: node.serverBook,
    gateway: api,
    clock,
    log,
  })
  await handIn.start()
  return {
    agent,
    ...(installing.ready === undefined ? {} : { ready: installing.ready }),
    async stop() {
      await installing.stop?.()
      // What others signed for on the last stretch; the gateway hears of it at the next start otherwise.
      await handIn.stop()
      await node.stop()
    },
  }
}

export function outcomeJson(
  { enrollment }: Pick<Enrolled, 'enrollment'>,
  result: UpdateOutcome,
): JsonObject {
  const { outcome, installed, totals, waiting, reportsPending } = result
  return {
    id: enrollment.device,
    outcome,
    release: installed?.root ?? null,
    version: installed?.version ?? null,
    sha256: installed?.sha256 ?? null,
    imageBytes: installed?.imageBytes ?? null,
    installed: installed !== null,
    slot: installed?.slot ?? null,
    fetchedBytes: totals.fetchedBytes,
    fetchedBlocks: totals.fetchedBlocks,
    reusedBlocks: totals.reusedBlocks,
    sources: Object.entries(totals.sources).map(([peerId, bytes]) => ({ peerId, bytes })),
    receipts: { count: totals.receipts, bytes: totals.receiptedBytes },
    waiting,
    reportsPending,
  }
}

function outcomeText({ outcome, installed, totals, waiting }: UpdateOutcome): string {
  const runs = installed === null ? 'Nothing is installed yet' : `Running ${installed.version}`
  const why = waiting === null ? '' : ` Waiting: ${waiting.reason} (${waiting.detail}).`
  const sources = Object.keys(totals.sources).length
  switch (outcome) {
    case 'up-to-date':
      return `${runs}; nothing newer is published.`
    case 'updated':
      return `${runs}, confirmed. Fetched ${formatBytes(totals.fetchedBytes)} from ${sources} ${sources === 1 ? 'source' : 'sources'}.`
    case 'fell-back':
      return `${runs} again: the new release did not pass its check.${why}`
    case 'waiting':
      return `${runs}.${why}`
  }
}

export function exitCodeOf({ outcome, waiting }: UpdateOutcome): ExitCode {
  if (outcome === 'up-to-date' || outcome === 'updated') return ExitCode.done
  const isAway = waiting?.reason === 'gateway-unreachable' || waiting?.reason === 'no-source'
  return isAway ? ExitCode.unreachable : ExitCode.failed
}
