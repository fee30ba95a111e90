import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { codeOf, writeFileDurably } from '../base/index.ts'
import { ACTION_STATES } from '../ddi/index.ts'
import { STOCK_ACTIONS_KEPT, STOCK_FILE_MAX_BYTES } from './limits.ts'
import { deviceError } from './types.ts'

const count = z.int().min(0)
const actionSchema = z.object({
  id: z.int().min(1),
  state: z.enum(ACTION_STATES),
  /** Newest first. */
  messages: z.array(z.string()),
  root: z.string(),
  version: z.string(),
  slot: z.enum(['a', 'b']),
  filename: z.string(),
  bytes: count,
  /** Lower-case hexadecimal. */
  sha1: z.string(),
  md5: z.string(),
  sha256: z.string(),
  offeredMs: z.number(),
})
/** A release that one stock client shall install. */
export type StockAction = z.infer<typeof actionSchema>

const clientSchema = z.object({
  /** It has said what it is, and is not asked again. */
  hasAttributes: z.boolean(),
  autoConfirm: z
    .object({
      initiator: z.string().nullable(),
      remark: z.string().nullable(),
      activatedMs: z.number(),
    })
    .nullable(),
  /** Oldest first; the last one may be active. */
  actions: z.array(actionSchema),
})
type StockClient = z.infer<typeof clientSchema>

const fileSchema = z.object({
  v: z.literal(1),
  nextId: z.int().min(1),
  clients: z.record(z.string(), clientSchema),
})
type Stored = Omit<z.infer<typeof fileSchema>, 'v'>

const NEW_CLIENT: StockClient = { hasAttributes: false, autoConfirm: null, actions: [] }

/** What stock clients were offered and what they said, on disk before anybody hears of it. */
export interface StockFile {
  client(name: string): StockClient
  /** Durable when it resolves. */
  save(name: string, change: Partial<StockClient>): Promise<void>
  /** Adds an action; `id` is one that was never given before. Durable when it resolves. */
  begin(name: string, action: Omit<StockAction, 'id'>): Promise<void>
}

/** Throws `state-damaged`. */
export async function openStockFile(folder: string): Promise<StockFile> {
  const path = join(folder, 'ddi.json')
  let now = await readStored(path)
  let turn: Promise<void> = Promise.resolve()
  const client = (name: string) => now.clients[name] ?? NEW_CLIENT
  const write = (next: Stored): Promise<void> => {
    now = next
    const text = `${JSON.stringify({ v: 1, ...now })}\n`
    const mine = turn.then(() => writeFileDurably(path, text, { mode: 0o600 }))
    turn = mine.catch(() => undefined)
    return mine
  }
  const save = (name: string, change: Partial<StockClient>, nextId = now.nextId) =>
    write({ nextId, clients: { ...now.clients, [name]: { ...client(name), ...change } } })
  return {
    client,
    save: (name, change) => save(name, change),
    begin(name, action) {
      const id = now.nextId
      const actions = [...client(name).actions, { id, ...action }].slice(-STOCK_ACTIONS_KEPT)
      return save(name, { actions }, id + 1)
    },
  }
}

async function readStored(path: string): Promise<Stored> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return { nextId: 1, clients: {} }
    throw thrown
  }
  const parsed = text.length > STOCK_FILE_MAX_BYTES ? undefined : parse(text)
  if (parsed !== undefined) return parsed
  throw deviceError('state-damaged', `${path} is not a file of this version`, {
    blame: 'local',
    fix: 'Move it away and start again: what waits is then offered anew.',
  })
}

function parse(text: string): Stored | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
  const parsed = fileSchema.safeParse(json)
  return parsed.success ? parsed.data : undefined
}
