import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { DigestSchema, SignedReportSchema } from '../api/index.ts'
import { codeOf, writeFileDurably } from '../base/index.ts'
import { EMPTY_CHAIN, FollowedOrderSchema, RolloutPolicySchema } from '../firmware/index.ts'
import { OUTBOX_MAX_REPORTS, STATE_MAX_BYTES } from './limits.ts'
import { type DeviceState, deviceError, WAIT_REASONS } from './types.ts'

const count = z.int().min(0)
const hex = z.templateLiteral(['0x', z.string()])
const target = {
  root: z.string(),
  version: z.string(),
  sequence: z.number(),
  releaseKeyHash: hex,
  delta: z.object({ base: z.string(), root: z.string() }).optional(),
  rollout: RolloutPolicySchema.optional(),
}
const totals = z.object({
  fetchedBytes: count,
  fetchedBlocks: count,
  reusedBlocks: count,
  receipts: count,
  receiptedBytes: count,
  sources: z.record(z.string(), count),
})
const slot = z.enum(['a', 'b'])
const installed = z.object({
  ...target,
  imageBytes: count,
  sha256: hex,
  slot,
  sinceMs: z.number(),
})
const phase = z.discriminatedUnion('name', [
  z.object({ name: z.literal('idle') }),
  z.object({
    name: z.literal('fetching'),
    target: z.object(target),
    slot,
    sinceMs: z.number(),
    totals,
  }),
  z.object({
    name: z.literal('written'),
    candidate: installed,
    totals,
    attempts: count,
    bootId: z.string().optional(),
    boots: count.optional(),
  }),
  z.object({
    name: z.literal('trying'),
    candidate: installed,
    totals,
    bootId: z.string().optional(),
    boots: count,
  }),
  z.object({ name: z.literal('falling-back'), candidate: installed, detail: z.string() }),
])
const reason = z.enum(WAIT_REASONS)
const stateSchema = z.object({
  v: z.literal(1),
  phase,
  installed: installed.nullable(),
  previous: installed.nullable(),
  rejected: z.object({ root: z.string(), reason }).nullable(),
  waiting: z.object({ reason, detail: z.string(), sinceMs: z.number() }).nullable(),
  outbox: z.array(SignedReportSchema),
  chain: z.object({ seq: count, head: DigestSchema }),
  orders: z.array(FollowedOrderSchema),
  heardMs: z.number().nullable(),
  stale: z.array(z.string()),
})

const FRESH_STATE: DeviceState = {
  phase: { name: 'idle' },
  installed: null,
  previous: null,
  rejected: null,
  waiting: null,
  outbox: [],
  chain: EMPTY_CHAIN,
  orders: [],
  heardMs: null,
  stale: [],
}

export interface StateFile {
  readonly now: DeviceState
  /** Durable when it resolves; one after the other. */
  save(change: Partial<DeviceState>): Promise<void>
}

function statePath(folder: string): string {
  return join(folder, 'state.json')
}

/** Also for reading along while an agent runs: the file is always whole. Throws `state-damaged`. */
export async function readState(folder: string): Promise<DeviceState> {
  let text: string
  try {
    text = await readFile(statePath(folder), 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return FRESH_STATE
    throw thrown
  }
  const parsed = text.length > STATE_MAX_BYTES ? undefined : parse(text)
  if (parsed !== undefined) return parsed
  throw deviceError('state-damaged', `${statePath(folder)} is not a state of this version`, {
    blame: 'local',
    fix: 'Move it away and start again: the device then installs the newest release anew.',
  })
}

function parse(text: string): DeviceState | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
  const parsed = stateSchema.safeParse(json)
  return parsed.success ? (parsed.data as DeviceState) : undefined
}

export async function openStateFile(folder: string): Promise<StateFile> {
  let now = await readState(folder)
  let turn: Promise<void> = Promise.resolve()
  return {
    get now() {
      return now
    },
    save(change) {
      now = { ...now, ...change }
      if (now.outbox.length > OUTBOX_MAX_REPORTS) {
        now = { ...now, outbox: now.outbox.slice(-OUTBOX_MAX_REPORTS) }
      }
      const text = `${JSON.stringify({ v: 1, ...now })}\n`
      const mine = turn.then(() => writeFileDurably(statePath(folder), text, { mode: 0o600 }))
      turn = mine.catch(() => undefined)
      return mine
    },
  }
}
