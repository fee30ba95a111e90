import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { GIB, IoexError } from '@ioex/node/base'
import { parseEvmAddress } from '@ioex/node/identity'
import { z } from 'zod'
import { COPIES_WANTED } from './limits.ts'

/** Everything the process is told at its start; checked once, then frozen. */
export interface GatewayConfig {
  readonly home: string
  readonly host: string
  readonly port: number
  readonly networkFile: string
  readonly operator: `0x${string}`
  /** Multiaddrs of the embedded node. */
  readonly p2pListen: readonly string[]
  readonly p2pAnnounce: readonly string[] | undefined
  /** `postgres://…` or the path of an SQLite file. */
  readonly database: string
  readonly quotaBytes: number
  readonly copiesWanted: number
  readonly consoleFolder: string
  readonly masterKeyFile: string
  readonly operatorTokenFile: string
  readonly bridgeTokenFile: string
  readonly trustProxy: boolean
  readonly rateFactor: number
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}

const Whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max)

/** One line per setting: its flag, its variable, and what it is. A flag wins over the variable. */
const SETTINGS = {
  home: { env: 'IOEX_HOME', schema: z.string().min(1) },
  listen: {
    env: 'IOEX_LISTEN',
    schema: z
      .string()
      .regex(/^.+:\d{1,5}$/, 'write it as host:port')
      .default('127.0.0.1:8080'),
  },
  'network-file': { env: 'IOEX_NETWORK_FILE', schema: z.string().min(1) },
  operator: { env: 'IOEX_OPERATOR', schema: z.string().transform(parseEvmAddress) },
  'p2p-listen': { env: 'IOEX_P2P_LISTEN', schema: z.string().default('/ip4/0.0.0.0/tcp/4001') },
  'p2p-announce': { env: 'IOEX_P2P_ANNOUNCE', schema: z.string().optional() },
  database: { env: 'DATABASE_URL', schema: z.string().optional() },
  'quota-bytes': {
    env: 'IOEX_QUOTA_BYTES',
    schema: Whole(64 * 1024 * 1024, Number.MAX_SAFE_INTEGER).default(100 * GIB),
  },
  copies: { env: 'IOEX_COPIES', schema: Whole(1, 10_000).default(COPIES_WANTED) },
  console: { env: 'IOEX_CONSOLE', schema: z.string().optional() },
  'master-key-file': { env: 'IOEX_MASTER_KEY_FILE', schema: z.string().optional() },
  'operator-token-file': { env: 'IOEX_OPERATOR_TOKEN_FILE', schema: z.string().optional() },
  'bridge-token-file': { env: 'IOEX_BRIDGE_TOKEN_FILE', schema: z.string().optional() },
  'trust-proxy': { env: 'IOEX_TRUST_PROXY', schema: z.stringbool().default(false) },
  'rate-factor': { env: 'IOEX_RATE_FACTOR', schema: Whole(1, 1_000_000).default(1) },
  'log-level': {
    env: 'IOEX_LOG_LEVEL',
    schema: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  },
} as const

type Settings = { [Name in keyof typeof SETTINGS]: z.output<(typeof SETTINGS)[Name]['schema']> }

/** Throws `config-invalid` with the setting that is wrong and its two names. */
export function readConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): GatewayConfig {
  const flags = readFlags(args)
  const read = <Name extends keyof Settings>(name: Name): Settings[Name] => {
    const { env: variable, schema } = SETTINGS[name]
    const result = schema.safeParse(flags[name] ?? env[variable])
    if (result.success) return result.data as Settings[Name]
    const [issue] = result.error.issues
    throw configError(
      `--${name} (${variable}): ${issue?.message ?? 'not valid'}`,
      `Give --${name} or set ${variable}.`,
    )
  }
  const home = resolve(read('home'))
  const listen = read('listen')
  const colon = listen.lastIndexOf(':')
  return Object.freeze({
    home,
    host: listen.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(listen.slice(colon + 1)),
    networkFile: resolve(read('network-file')),
    operator: read('operator'),
    p2pListen: read('p2p-listen').split(','),
    p2pAnnounce: read('p2p-announce')?.split(','),
    database: read('database') ?? join(home, 'gateway.sqlite'),
    quotaBytes: read('quota-bytes'),
    copiesWanted: read('copies'),
    consoleFolder: resolve(read('console') ?? join(import.meta.dirname, '../vendor-console/dist')),
    masterKeyFile: resolve(read('master-key-file') ?? join(home, 'master.key')),
    operatorTokenFile: resolve(read('operator-token-file') ?? join(home, 'operator.token')),
    bridgeTokenFile: resolve(read('bridge-token-file') ?? join(home, 'bridge.token')),
    trustProxy: read('trust-proxy'),
    rateFactor: read('rate-factor'),
    logLevel: read('log-level'),
  })
}

function readFlags(args: readonly string[]): Readonly<Record<string, string | undefined>> {
  const options = Object.fromEntries(
    Object.keys(SETTINGS).map((name) => [name, { type: 'string' as const }]),
  )
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (cause) {
    const names = Object.keys(SETTINGS).map((name) => `--${name}`)
    throw configError(
      cause instanceof Error ? cause.message : 'the flags cannot be read',
      `Known flags: ${names.join(', ')}.`,
    )
  }
}

function configError(message: string, fix: string): IoexError {
  return new IoexError('config-invalid', message, { blame: 'caller', fix })
}
