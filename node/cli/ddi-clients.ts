/** Who may ask an agent for its releases: one client beside it, or those of a site. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { DdiControllerSchema, DdiTokenTextSchema } from '../api/index.ts'
import { codeOf, systemRandom, writeFileDurably } from '../base/index.ts'
import type { StockClientOptions } from '../device/index.ts'
import { misuse } from './failure.ts'

/** Each holds a socket and keeps some kilobytes of its last reports; a larger site has more agents. */
const CLIENTS_MAX = 64
const TOKEN_BYTES = 24

const ClientsSchema = z
  .record(DdiControllerSchema, DdiTokenTextSchema)
  .refine((clients) => {
    const tokens = Object.values(clients)
    return tokens.length >= 1 && tokens.length <= CLIENTS_MAX
  }, `name 1 to ${CLIENTS_MAX} clients`)
  .refine((clients) => {
    const tokens = Object.values(clients)
    return new Set(tokens).size === tokens.length
  }, 'give each client a token of its own')

interface Known {
  readonly clients: StockClientOptions['clients']
  /** Where the token of the one client stands. */
  readonly tokenFile: string | undefined
}

/** From `--clients FILE`, else one whose token is made here once and kept. */
export async function readDdiClients(file: string | undefined, folder: string): Promise<Known> {
  if (file === undefined) {
    const tokenFile = join(folder, 'ddi-token')
    return { clients: [{ name: undefined, token: await ownToken(tokenFile) }], tokenFile }
  }
  const parsed = ClientsSchema.safeParse(parse(await readFile(file, 'utf8')))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw misuse(
      'clients-invalid',
      `${file}: ${[...(issue?.path ?? []), issue?.message].join(': ')}`,
      'Write it as {"pump-0042": "token of 16 letters or more"}.',
    )
  }
  const clients = Object.entries(parsed.data).map(([name, token]) => ({ name, token }))
  return { clients, tokenFile: undefined }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    // Said by the schema, which has no clients then.
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}

async function ownToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    const token = Buffer.from(systemRandom.bytes(TOKEN_BYTES)).toString('base64url')
    await writeFileDurably(path, `${token}\n`, { mode: 0o600 })
    return token
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** A whole site asks over the network: then with TLS, and every client with a token of its own. */
export function mustBeSafe(options: {
  readonly host: string
  readonly hasTls: boolean
  readonly hasClients: boolean
}): void {
  if (isLoopback(options.host) || (options.hasTls && options.hasClients)) return
  throw misuse(
    'ddi-not-safe',
    `plain images would be served on ${options.host} to whoever listens`,
    'Add --tls-cert, --tls-key and --clients, or stay with 127.0.0.1.',
  )
}
