import type { PollAnswer } from '@ioex/node/api'
import { asError } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { sql } from 'kysely'
import type { Parts } from '../context.ts'
import { DEVICE_POLL_S } from '../limits.ts'
import type { Store } from '../store/open.ts'
import { latestPublished } from '../store/releases.ts'
import { hashOf, REMOVED_TOKENS } from '../store/tokens.ts'
import {
  ANSWER_KEPT_MS,
  ANSWERS_MAX,
  NOTES_MAX,
  NOTES_PER_TRANSACTION,
  NOTES_WRITTEN_EVERY_MS,
  POLLED_DEVICES_MAX,
  RECALLED_EVERY_MS,
  REMOVALS_CHECKED_EVERY_MS,
  SEEN_EVERY_MS,
} from './limits.ts'
import type { PolledDevice, Polls, Said } from './types.ts'

interface Remembered extends PolledDevice {
  readonly expiresMs: number
  /** Devices of one line are told the same. */
  readonly line: string
  /** The query in which it said what is written, or waits to be. */
  query: string | undefined
  /** When it was last seen, as it is written or waits to be. */
  seenMs: number
  recalledMs: number
}

interface Note {
  readonly seenMs: number
  readonly said: Said
}

interface KeptAnswer {
  readonly json: Promise<string>
  /** When it is there. */
  text: string | undefined
  readonly untilMs: number
}

type Needs = Pick<Parts, 'clock' | 'log' | 'node'> & {
  readonly store: Pick<Store, 'db' | 'engine'>
}

export function createPolls(
  { store, clock, log, node }: Needs,
  { writeEveryMs = NOTES_WRITTEN_EVERY_MS }: { readonly writeEveryMs?: number | undefined } = {},
): Polls {
  const { db } = store
  /** By the digest of the token. */
  const devices = new Map<string, Remembered>()
  const answers = new Map<string, KeptAnswer>()
  const notes = new Map<EvmAddress, Note>()
  let removals: number | undefined
  let removalsMs = Number.NEGATIVE_INFINITY
  let checking: Promise<void> | undefined
  let cancelWrite: (() => void) | undefined
  let writing: Promise<void> = Promise.resolve()
  let isStopped = false

  const checkRemovals = async () => {
    const row = await db
      .selectFrom('counters')
      .select('value')
      .where('name', '=', REMOVED_TOKENS)
      .executeTakeFirst()
    const value = row?.value ?? 0
    if (value !== removals) devices.clear()
    removals = value
    removalsMs = clock.monotonicMs()
  }

  const look = async (hash: string): Promise<Remembered | undefined> => {
    const row = await db
      .selectFrom('tokens')
      .innerJoin('devices', 'devices.id', 'tokens.device')
      .select(['tokens.id as token', 'tokens.expires_ms', 'devices.id', 'devices.vendor'])
      .select('devices.model')
      .where('tokens.hash', '=', hash)
      .where('tokens.kind', '=', 'device')
      .executeTakeFirst()
    if (row === undefined) return undefined
    return {
      id: row.id as EvmAddress,
      vendor: row.vendor as EvmAddress,
      model: row.model,
      token: row.token,
      expiresMs: row.expires_ms ?? Number.POSITIVE_INFINITY,
      line: lineOf(row),
      query: undefined,
      seenMs: Number.NEGATIVE_INFINITY,
      recalledMs: Number.NEGATIVE_INFINITY,
    }
  }

  const lookUp = async ({ vendor, model }: PolledDevice): Promise<string> => {
    const latest = await latestPublished(db, vendor, model)
    const timestamp = await db
      .selectFrom('tuf_files')
      .select('expires_ms')
      .where('vendor', '=', vendor)
      .where('name', '=', 'timestamp.json')
      .executeTakeFirst()
    const orders = await db
      .selectFrom('rollouts')
      .innerJoin('releases', 'releases.id', 'rollouts.release')
      .select(({ fn }) => fn.sum<number | string | null>('order_version').as('orders'))
      .where('releases.vendor', '=', vendor)
      .where('releases.model', '=', model)
      .executeTakeFirst()
    const answer: PollAnswer = {
      pollAfterS: DEVICE_POLL_S,
      latest: latest === undefined ? null : { root: latest.id, version: latest.version },
      networkVersion: node.networkFile.signed.version,
      metadataExpiresMs: timestamp?.expires_ms ?? null,
      orders: Number(orders?.orders ?? 0),
    }
    return JSON.stringify(answer)
  }

  const write = async () => {
    const some = notes.entries().take(NOTES_PER_TRANSACTION).toArray()
    for (const [device] of some) notes.delete(device)
    const json = JSON.stringify(some.map(([id, { seenMs, said }]) => ({ id, seenMs, ...said })))
    // One statement, as a thousand of them would keep everybody waiting for 50 ms.
    await sql`update devices
      set seen_ms = said.seen_ms, running_version = said.version, running_root = said.root, reason = said.state
      from (${rowsOf(store.engine, json)}) as said where devices.id = said.id`.execute(db)
  }
  const writeSoon = () => {
    if (isStopped || notes.size === 0) return
    cancelWrite ??= clock.after(writeEveryMs, () => {
      cancelWrite = undefined
      writing = writing
        .then(write)
        // What could not be written is said again with a later poll; the others must not wait for it.
        .catch((thrown: unknown) => log.error({ error: asError(thrown) }, 'polls were not noted'))
        .then(writeSoon)
    })
  }

  return {
    async find(token) {
      if (clock.monotonicMs() - removalsMs >= REMOVALS_CHECKED_EVERY_MS) {
        checking ??= checkRemovals().finally(() => {
          checking = undefined
        })
        await checking
      }
      const hash = hashOf(token)
      let device = devices.get(hash)
      if (device === undefined) {
        const before = removals
        device = await look(hash)
        if (device === undefined) return undefined
        // One that was taken off while it was looked up must not be remembered.
        if (removals === before) remember(hash, device)
      }
      return device.expiresMs > clock.nowMs() ? device : undefined
    },
    recall(token, query) {
      const monotonicMs = clock.monotonicMs()
      if (monotonicMs - removalsMs >= REMOVALS_CHECKED_EVERY_MS) return undefined
      const device = devices.get(hashOf(token))
      if (device === undefined || device.query !== query) return undefined
      if (monotonicMs - device.recalledMs < RECALLED_EVERY_MS) return undefined
      const nowMs = clock.nowMs()
      if (device.expiresMs <= nowMs || nowMs - device.seenMs >= SEEN_EVERY_MS) return undefined
      const kept = answers.get(device.line)
      if (kept?.text === undefined || kept.untilMs <= monotonicMs) return undefined
      device.recalledMs = monotonicMs
      return kept.text
    },
    answer(device) {
      const key = lineOf(device)
      const nowMs = clock.monotonicMs()
      const kept = answers.get(key)
      if (kept !== undefined && kept.untilMs > nowMs) return kept.json
      const json = lookUp(device)
      const fresh: KeptAnswer = { json, text: undefined, untilMs: nowMs + ANSWER_KEPT_MS }
      answers.delete(key)
      answers.set(key, fresh)
      json.then(
        (text) => {
          fresh.text = text
        },
        () => answers.delete(key),
      )
      forgetFirst(answers, ANSWERS_MAX)
      return json
    },
    note(device, query, said) {
      const remembered = device as Remembered
      const nowMs = clock.nowMs()
      if (query === remembered.query && nowMs - remembered.seenMs < SEEN_EVERY_MS) return
      if (notes.size >= NOTES_MAX && !notes.has(device.id)) return
      notes.set(device.id, { seenMs: nowMs, said: said() })
      remembered.query = query
      remembered.seenMs = nowMs
      writeSoon()
    },
    reported(device) {
      notes.delete(device)
    },
    async stop() {
      isStopped = true
      cancelWrite?.()
      cancelWrite = undefined
      await writing
      while (notes.size > 0) await write()
    },
  }

  function remember(hash: string, device: Remembered): void {
    devices.set(hash, device)
    forgetFirst(devices, POLLED_DEVICES_MAX)
  }
}

/** What devices said, as rows of the query: each engine takes JSON apart in its own way. */
function rowsOf(engine: Store['engine'], json: string) {
  return engine === 'sqlite'
    ? sql`select value ->> 'id' as id, value ->> 'seenMs' as seen_ms, value ->> 'version' as version,
        value ->> 'root' as root, value ->> 'state' as state from json_each(${json})`
    : sql`select id, "seenMs" as seen_ms, version, root, state from jsonb_to_recordset(${json}::jsonb)
        as one(id text, "seenMs" bigint, version text, root text, state text)`
}

function lineOf({ vendor, model }: { readonly vendor: string; readonly model: string }): string {
  return `${vendor}/${model}`
}

function forgetFirst(map: Map<string, unknown>, max: number): void {
  if (map.size <= max) return
  const oldest = map.keys().next()
  if (oldest.done !== true) map.delete(oldest.value)
}
