import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, syncFolder, writeFileDurably } from '../base/index.ts'
import { TARGETS_MAX_BYTES } from './limits.ts'
import type { TrustedFiles } from './trust-session.ts'
import { isTufFile } from './tuf-file.ts'
import { firmwareError } from './types.ts'

/**
 * Keeps trusted metadata as TUF clients do: one file per role, `root.json`, `timestamp.json`, … Each is replaced
 * as a whole and durable before the next step, so that a power cut leaves what some step of a refresh left. A file
 * that is torn all the same was damaged by something else: it throws metadata-damaged, as going on without it
 * would forget which versions were seen.
 */
export function createMetadataFolder(path: string): TrustedFiles {
  // Role names come from others and may hold slashes.
  const fileOf = (role: string) => join(path, `${encodeURIComponent(role)}.json`)
  return {
    async get(role) {
      const bytes = await readBounded(fileOf(role))
      if (bytes === undefined || isTufFile(bytes)) return bytes
      throw firmwareError('metadata-damaged', `${fileOf(role)} is torn or no TUF metadata`, {
        blame: 'local',
        fix:
          role === 'root'
            ? 'Empty the folder and begin with a root.json of the repository.'
            : 'Remove it, if you know how it was damaged: it says which versions were seen.',
      })
    },
    set: (role, bytes) => writeFileDurably(fileOf(role), bytes),
    async delete(role) {
      await rm(fileOf(role), { force: true })
      await syncFolder(path)
    },
  }
}

/** Undefined where there is no file; empty for one that is larger than any that was written here. */
async function readBounded(path: string): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path)
    return size > TARGETS_MAX_BYTES ? new Uint8Array() : await readFile(path)
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}
