import { readFile, stat } from 'node:fs/promises'
import * as dagCbor from '@ipld/dag-cbor'
import { codeOf, MIB, writeFileDurably } from '../base/index.ts'
import { sha256 } from './release-root.ts'
import type { MetadataStore } from './trusted-releases.ts'

/** Root, snapshot, targets and the lines of a few models; what is larger was not written here. */
const FILE_MAX_BYTES = 32 * MIB

/**
 * Keeps trusted metadata in one file that is replaced as a whole, so that a power cut cannot mix two sets. A file
 * that is damaged all the same (by its checksum) counts as none: the device starts again from its initial root.
 */
export function createMetadataFile(path: string): MetadataStore {
  return {
    async load() {
      const content = await readBounded(path)
      if (content === undefined) return new Map()
      return decode(content) ?? new Map()
    },
    save(files) {
      const body = dagCbor.encode(Object.fromEntries(files))
      return writeFileDurably(path, dagCbor.encode({ v: 1, body, sha256: sha256(body) }), {
        mode: 0o600,
      })
    },
  }
}

async function readBounded(path: string): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path)
    return size > FILE_MAX_BYTES ? new Uint8Array() : await readFile(path)
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}

function decode(content: Uint8Array): Map<string, Uint8Array> | undefined {
  const outer = decodeMap(content)
  const body = outer?.['body']
  const checksum = outer?.['sha256']
  if (!(body instanceof Uint8Array) || !(checksum instanceof Uint8Array)) return undefined
  if (!Buffer.from(checksum).equals(sha256(body))) return undefined
  const files = new Map<string, Uint8Array>()
  for (const [role, bytes] of Object.entries(decodeMap(body) ?? {})) {
    if (!(bytes instanceof Uint8Array)) return undefined
    files.set(role, bytes)
  }
  return files
}

function decodeMap(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = dagCbor.decode(bytes)
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined
  } catch (thrown) {
    if (thrown instanceof Error) return undefined
    throw thrown
  }
}
