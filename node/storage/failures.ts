import { asError, codeOf, IoexError } from '../base/index.ts'
import type { StorageErrorCode } from './storage.ts'

export type StorageError = IoexError<StorageErrorCode>

function failure(
  code: StorageErrorCode,
  message: string,
  details: ConstructorParameters<typeof IoexError>[2],
): StorageError {
  return new IoexError<StorageErrorCode>(code, message, details)
}

export function blockMismatch(message: string): StorageError {
  return failure('block-mismatch', message, {
    blame: 'caller',
    fix: 'Hand in the exact bytes of the block under a CID with a sha2-256 multihash.',
  })
}

export function blockTooLarge(bytes: number, maxBytes: number): StorageError {
  return failure('block-too-large', `a block of ${bytes} bytes; at most ${maxBytes} are taken`, {
    blame: 'caller',
    fix: 'Cut the content into smaller blocks.',
  })
}

export function quotaExceeded(wanted: number, used: number, quota: number): StorageError {
  return failure(
    'quota-exceeded',
    `${wanted} more bytes do not fit: ${used} of ${quota} bytes are used`,
    { blame: 'local', fix: 'Unpin something and collect garbage, or raise the quota.' },
  )
}

function diskFull(cause: unknown): StorageError {
  return failure('disk-full', 'the disk is full; nothing of this write was kept', {
    blame: 'local',
    fix: 'Free space on the disk that holds the storage folder.',
    cause,
  })
}

export function storageInUse(folder: string, holder: string, cause: unknown): StorageError {
  return failure('storage-in-use', `${folder} is in use by ${holder}`, {
    blame: 'local',
    fix: 'Stop the other process, or give this one a folder of its own.',
    cause,
  })
}

export function storageDamaged(message: string, fix: string, cause?: unknown): StorageError {
  return failure('storage-damaged', message, { blame: 'local', fix, cause })
}

export function storageStopped(): StorageError {
  return failure('storage-stopped', 'the storage is not running', {
    blame: 'caller',
    fix: 'Call start() first, and nothing after stop().',
  })
}

export function sessionEnded(root: string): StorageError {
  return failure('session-ended', `this pin session of ${root} was committed or dropped`, {
    blame: 'caller',
    fix: 'Open a new session for the root.',
  })
}

export function recordRefused(message: string, fix: string): StorageError {
  return failure('record-too-large', message, { blame: 'caller', fix })
}

export function recordMalformed(message: string): StorageError {
  return failure('record-malformed', message, {
    blame: 'caller',
    fix: 'Use well-formed text without NUL characters for tables and keys.',
  })
}

const FULL = new Set(['ENOSPC', 'EDQUOT'])
const SQLITE_FULL = 13

/** A full disk in whatever way it was reported becomes `disk-full`; anything else stays what it is. */
export function asStorageError(thrown: unknown): Error {
  const code = codeOf(thrown)
  if (code !== undefined && FULL.has(code)) return diskFull(thrown)
  if (
    code === 'ERR_SQLITE_ERROR' &&
    thrown instanceof Error &&
    'errcode' in thrown &&
    thrown.errcode === SQLITE_FULL
  )
    return diskFull(thrown)
  return asError(thrown)
}
