/**
 * What every room stands on: bytes, time, randomness, errors, log lines, durable files and bounded queues.
 * It imports no other room. Time and randomness are collaborators here, so that tests and simulations can
 * hand in their own; nothing outside this room touches `Date`, timers or the system's random source.
 */
export {
  concat,
  equalBytes,
  fromHex,
  fromUtf8,
  GIB,
  type Hex,
  KIB,
  MIB,
  toHex,
  utf8,
} from './bytes.ts'
export { type Clock, systemClock, unixSeconds } from './clock.ts'
export {
  accepted,
  asError,
  type Blame,
  codeOf,
  type ErrorDetails,
  IoexError,
  type Refusal,
  type Result,
  refused,
} from './errors.ts'
export { tuneForBulk, tuneForSmallMemory } from './engine.ts'
export { free, type HeldBytes, holdBytes } from './held-bytes.ts'
export { makeFolderDurably, syncFolder, writeFileDurably } from './files.ts'
export { type AbortOptions, type Startable, stopAll } from './lifecycle.ts'
export { createLog, type Log, type LogFields, type LogLevel, silentLog } from './log.ts'
export { type BoundedQueue, createBoundedQueue, type QueueLimits } from './queue.ts'
export { type Random, shuffled, systemRandom } from './random.ts'
