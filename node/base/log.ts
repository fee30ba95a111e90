import { pino } from 'pino'

export type LogFields = Readonly<Record<string, unknown>>

/**
 * One line per event: first the fields, then a sentence. Never pass keys, tokens, phrases or passphrases;
 * the names below are blanked as a second net, not as a licence.
 */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Log
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

const SECRET_FIELDS = [
  'token',
  'secret',
  'passphrase',
  'phrase',
  'privateKey',
  'seed',
  'key',
  'authorization',
]

/** Writes JSON lines to standard error; results own standard output. */
export function createLog(options: { readonly name: string; readonly level: LogLevel }): Log {
  const paths = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`])
  return pino(
    {
      name: options.name,
      level: options.level,
      redact: { paths, censor: '[hidden]' },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: pino.stdSerializers.err },
    },
    pino.destination({ fd: 2, sync: true }),
  )
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
}
