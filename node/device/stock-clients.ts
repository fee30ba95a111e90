import { createHash, timingSafeEqual } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type AbortOptions, asError, type Clock, concat, type Log, utf8 } from '../base/index.ts'
import {
  artifactName,
  type DdiAction,
  type DdiDevice,
  type DdiFleet,
  type DdiModule,
  isActive,
  mayBeHeld,
  onTakeBack,
  type Step,
  withMessages,
} from '../ddi/index.ts'
import type { Installer } from './installer.ts'
import { STANDING_EVERY_MS, STOCK_MESSAGES_KEPT } from './limits.ts'
import type { Slots } from './slots.ts'
import { openStockFile, type StockAction } from './stock-file.ts'
import { deviceError, type InstalledRelease } from './types.ts'

/** May a release that was offered still be installed? */
export type OfferStanding = 'may-install' | 'is-held' | 'taken-back'

export interface StockClientNeeds {
  readonly slots: Slots
  /** Asked when a client polls, at most once a minute. */
  readonly standing: (offered: InstalledRelease, abort: AbortOptions) => Promise<OfferStanding>
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>
  readonly log: Log
}

export interface StockClientOptions {
  /** Where what was offered and said is kept. */
  readonly folder: string
  readonly model: string
  /** By name and token; without a name, whatever name the one client gives itself. */
  readonly clients: readonly { readonly name: string | undefined; readonly token: string }[]
  /** The person at the device is asked before each update. */
  readonly confirm: boolean
}

/**
 * Installers that speak hawkBit's DDI in the place of an install command: a release that is whole and verified is
 * offered to them, and how they end decides whether it is confirmed. Several clients count as one device: all have
 * to end well.
 */
export interface StockClients {
  readonly installer: Installer
  readonly fleet: DdiFleet
}

const MAY_BE_LOADED = new Set<StockAction['state']>(['offered', 'running', 'canceling', 'finished'])
/** A client without a name of its own. */
const ONLY = ''

export async function createStockClients(
  needs: StockClientNeeds,
  options: StockClientOptions,
): Promise<StockClients> {
  const { slots, clock, log } = needs
  const file = await openStockFile(options.folder)
  const names = options.clients.map(({ name }) => name ?? ONLY)
  /** Who waits for the next word of a client. */
  const waiting = new Set<() => void>()
  let offered: InstalledRelease | undefined
  let standing: OfferStanding = 'may-install'
  let askedMs: number | undefined
  let asking: Promise<void> | undefined
  let turn: Promise<unknown> = Promise.resolve()

  const oneByOne = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work)
    turn = mine.catch(() => undefined)
    return mine
  }
  const newest = (name: string) => file.client(name).actions.at(-1)

  const offer = async (candidate: InstalledRelease, abort: AbortOptions): Promise<void> => {
    if (offered?.root !== candidate.root) askedMs = undefined
    offered = candidate
    const missing = names.filter((name) => newest(name)?.root !== candidate.root)
    if (missing.length === 0) return
    const { root, version, slot, imageBytes: bytes, sha256 } = candidate
    const image = await digestsOf(slots.image(slot), bytes, abort)
    if (`0x${image.sha256}` !== sha256) {
      throw deviceError('install-failed', `the image of ${version} is not what was verified`, {
        blame: 'local',
        fix: 'Check the disk; the release is fetched anew when its image is removed.',
      })
    }
    const filename = artifactName({ model: options.model, version }, image.head)
    const { sha1, md5 } = image
    for (const name of missing) {
      await oneByOne(async () => {
        const asks = options.confirm && file.client(name).autoConfirm === null
        await file.begin(name, {
          state: asks ? 'awaiting-confirmation' : 'offered',
          messages: ['Offered to the device.'],
          ...{ root, version, slot, filename, bytes, sha1, md5, sha256: image.sha256 },
          offeredMs: clock.nowMs(),
        })
      })
    }
  }

  const step = (
    name: string,
    id: number,
    decide: (action: Pick<StockAction, 'state'>) => Step,
  ): Promise<Step | undefined> =>
    oneByOne(async () => {
      const { actions } = file.client(name)
      const action = actions.find((one) => one.id === id)
      if (action === undefined) return undefined
      const step = decide(action)
      if (!step.ok) return step
      const messages = withMessages(action.messages, step.messages).slice(0, STOCK_MESSAGES_KEPT)
      const changed = { ...action, state: step.state, messages }
      await file.save(name, { actions: actions.map((one) => (one.id === id ? changed : one)) })
      log.info({ client: name, action: id, state: step.state, ...step.word }, 'a client reports')
      for (const wake of waiting) wake()
      return step
    })

  /** Asked anew now and then, so that a pause or an end of the rollout reaches what was offered, too. */
  const look = async (): Promise<void> => {
    const nowMs = clock.monotonicMs()
    const candidate = offered
    if (candidate === undefined || (askedMs !== undefined && nowMs < askedMs + STANDING_EVERY_MS)) {
      return
    }
    askedMs = nowMs
    standing = await needs.standing(candidate, {})
    if (standing !== 'taken-back') return
    for (const name of names) {
      const action = newest(name)
      if (action !== undefined && isActive(action.state)) await step(name, action.id, onTakeBack)
    }
  }
  const lookOnce = (): Promise<void> => {
    asking ??= look()
      .catch((thrown: unknown) => {
        log.warn({ error: asError(thrown) }, 'whether the offer stands could not be asked')
      })
      .finally(() => {
        asking = undefined
      })
    return asking
  }

  const deviceOf = (name: string): DdiDevice => {
    const moduleOf = (action: StockAction): DdiModule => ({
      id: action.id,
      name: options.model,
      version: action.version,
      artifact: {
        filename: action.filename,
        bytes: action.bytes,
        sha1: action.sha1,
        md5: action.md5,
        sha256: action.sha256,
        storedMs: action.offeredMs,
        read: ({ from, to }, abort = {}) =>
          createReadStream(slots.image(action.slot), { start: from, end: to - 1, ...abort }),
      },
    })
    const describe = (action: StockAction): DdiAction => ({
      id: action.id,
      state: action.state,
      messages: action.messages,
      module: moduleOf(action),
      isHeld: standing === 'is-held' && mayBeHeld(action.state),
    })
    return {
      async poll() {
        const before = newest(name)
        if (before !== undefined && before.root === offered?.root && isActive(before.state)) {
          await lookOnce()
        }
        const { actions, hasAttributes } = file.client(name)
        const action = actions.at(-1)
        return {
          action: action !== undefined && isActive(action.state) ? describe(action) : undefined,
          installedActionId: actions.findLast(({ state }) => state === 'finished')?.id,
          wantsAttributes: !hasAttributes,
        }
      },
      action(id) {
        const action = file.client(name).actions.find((one) => one.id === id)
        return Promise.resolve(action === undefined ? undefined : describe(action))
      },
      step: (id, decide) => step(name, id, decide),
      module(id) {
        // The image of an action before it may have been written over by now.
        const action = newest(name)
        const isThere = action?.id === id && MAY_BE_LOADED.has(action.state)
        return Promise.resolve(isThere ? moduleOf(action) : undefined)
      },
      async putAttributes() {
        // Nobody asks for them here, so that they are not kept.
        await oneByOne(() => file.save(name, { hasAttributes: true }))
        return true
      },
      autoConfirm: () => Promise.resolve(file.client(name).autoConfirm ?? undefined),
      async setAutoConfirm(to) {
        const autoConfirm = to === undefined ? null : { ...to, activatedMs: clock.nowMs() }
        await oneByOne(() => file.save(name, { autoConfirm }))
      },
    }
  }

  /** Undefined while a client is still at it. */
  const endOf = ({ root }: InstalledRelease): boolean | undefined => {
    const actions = names.map(newest)
    const isOver = actions.every((one) => one?.root === root && !isActive(one.state))
    return isOver ? actions.every((one) => one?.state === 'finished') : undefined
  }

  const nextWord = async ({ signal }: AbortOptions): Promise<void> => {
    signal?.throwIfAborted()
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => resolve()
    waiting.add(wake)
    signal?.addEventListener('abort', wake)
    await promise
    waiting.delete(wake)
    signal?.removeEventListener('abort', wake)
    signal?.throwIfAborted()
  }

  return {
    installer: {
      install: (candidate, abort = {}) => offer(candidate, abort),
      async isHealthy(candidate, abort = {}) {
        await offer(candidate, abort)
        for (;;) {
          const end = endOf(candidate)
          if (end === true) await slots.switchTo(candidate.slot)
          if (end !== undefined) return end
          await nextWord(abort)
        }
      },
      // Stock clients fall back by themselves; this is where the next release is compared with what runs.
      restore: (previous) => slots.switchTo(previous.slot),
    },
    fleet: {
      admit({ controllerId, credential }) {
        if (credential?.kind !== 'target') return Promise.resolve(undefined)
        const given = secretOf(credential.token)
        const known = options.clients.find(({ token }) => timingSafeEqual(secretOf(token), given))
        const isIts = known !== undefined && (known.name ?? controllerId) === controllerId
        return Promise.resolve(isIts ? deviceOf(known.name ?? ONLY) : undefined)
      },
    },
  }
}

function secretOf(token: string): Uint8Array {
  return createHash('sha256').update(utf8(token)).digest()
}

/** Enough to know what kind of file it is. */
const HEAD_BYTES = 16

async function digestsOf(path: string, bytes: number, { signal }: AbortOptions) {
  const [sha1, md5, sha256] = [createHash('sha1'), createHash('md5'), createHash('sha256')]
  let head: Uint8Array = new Uint8Array()
  for await (const part of createReadStream(path, {
    end: bytes - 1,
    signal,
  }) as AsyncIterable<Uint8Array>) {
    for (const whole of [sha1, md5, sha256]) whole.update(part)
    if (head.byteLength < HEAD_BYTES) head = concat([head, part.subarray(0, HEAD_BYTES)])
  }
  return {
    head,
    sha1: sha1.digest('hex'),
    md5: md5.digest('hex'),
    sha256: sha256.digest('hex'),
  }
}
