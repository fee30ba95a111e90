import {
  Metadata,
  MetadataKind,
  type Root,
  Signature,
  type Snapshot,
  type Targets,
  type Timestamp,
} from '@tufjs/models'
import { codeOf, fromUtf8, utf8 } from '../base/index.ts'
import {
  ROOT_MAX_BYTES,
  SNAPSHOT_MAX_BYTES,
  TARGETS_MAX_BYTES,
  TIMESTAMP_MAX_BYTES,
  TUF_MAP_MAX_ENTRIES,
  TUF_MAX_DEPTH,
} from './limits.ts'
import type { TufSigner } from './tuf-keys.ts'
import { firmwareError } from './types.ts'

/** The specification that @tufjs/models 5 implements. */
export const SPEC_VERSION = '1.0.31'

type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [name: string]: Json
}
type ModelJson = ReturnType<Metadata<Targets>['toJSON']>

const LINE_PREFIX = 'line-'

/** The delegated role that speaks for a model; the prefix keeps a model named "root" apart from root. */
export function lineRole(model: string): string {
  return `${LINE_PREFIX}${model}`
}

/** The only paths that a line's role may speak for; `*` does not cross a slash. */
export function linePattern(model: string): string {
  return `${model}/*`
}

/** Undefined when the role is no line. */
export function modelOfLine(role: string): string | undefined {
  return role.startsWith(LINE_PREFIX) ? role.slice(LINE_PREFIX.length) : undefined
}

/** Throws metadata-damaged, as its siblings do. Signatures are not checked here. */
export function parseRoot(bytes: Uint8Array): Metadata<Root> {
  return readable('root', bytes, ROOT_MAX_BYTES, (json) =>
    Metadata.fromJSON(MetadataKind.Root, json),
  )
}

/** Top-level targets, or those of a line. */
export function parseTargets(bytes: Uint8Array): Metadata<Targets> {
  return readable('targets', bytes, TARGETS_MAX_BYTES, (json) =>
    Metadata.fromJSON(MetadataKind.Targets, json),
  )
}

export function parseSnapshot(bytes: Uint8Array): Metadata<Snapshot> {
  return readable('snapshot', bytes, SNAPSHOT_MAX_BYTES, (json) =>
    Metadata.fromJSON(MetadataKind.Snapshot, json),
  )
}

export function parseTimestamp(bytes: Uint8Array): Metadata<Timestamp> {
  return readable('timestamp', bytes, TIMESTAMP_MAX_BYTES, (json) =>
    Metadata.fromJSON(MetadataKind.Timestamp, json),
  )
}

function readable<T extends { readonly signed: { readonly version: number } }>(
  name: string,
  bytes: Uint8Array,
  maxBytes: number,
  parse: (json: ModelJson) => T,
): T {
  if (bytes.byteLength > maxBytes) throw damaged(name, `has more than ${maxBytes} bytes`)
  let metadata: T
  try {
    metadata = parse(readJson(bytes) as ModelJson)
  } catch (cause) {
    throw damaged(name, 'cannot be read', cause)
  }
  const { version } = metadata.signed
  if (!Number.isSafeInteger(version) || version < 1) throw damaged(name, 'has no version')
  return metadata
}

/** Parses a file that nobody has vouched for yet, and refuses shapes that would keep the models busy for minutes. */
export function readJson(bytes: Uint8Array): unknown {
  const json: unknown = JSON.parse(fromUtf8(bytes))
  let level: unknown[] = [json]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > TUF_MAX_DEPTH) throw damaged('file', 'is nested too deeply')
    const below: unknown[] = []
    for (const value of level) {
      if (typeof value !== 'object' || value === null) continue
      const members = Object.values(value)
      if (members.length > TUF_MAP_MAX_ENTRIES) {
        throw damaged('file', `has more than ${TUF_MAP_MAX_ENTRIES} entries in one place`)
      }
      for (const member of members) below.push(member)
    }
    level = below
  }
  return json
}

/** Is it a whole file with a signed part? Says nothing of who signed it. */
export function isTufFile(bytes: Uint8Array): boolean {
  try {
    const json = readJson(bytes) as { readonly signed?: { readonly _type?: unknown } } | null
    return typeof json?.signed?._type === 'string'
  } catch (thrown) {
    if (thrown instanceof Error) return false
    throw thrown
  }
}

function damaged(name: string, what: string, cause?: unknown) {
  return firmwareError('metadata-damaged', `the TUF file ${name} ${what}`, {
    blame: 'peer',
    fix: 'Send it again, as JSON that a TUF repository tool made.',
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Signs with every signer and gives the file's bytes. */
export function signFile(signed: JsonObject, signers: readonly TufSigner[]): Uint8Array {
  // The kind picks the class; all of them sign and print alike.
  const kind = signed['_type'] as MetadataKind.Targets
  return cosign(Metadata.fromJSON(kind, { signed, signatures: [] } as ModelJson), signers)
}

/** The same file with the signatures of these signers as well. */
export function cosign(
  metadata: Metadata<Root> | Metadata<Targets>,
  signers: readonly TufSigner[],
): Uint8Array {
  for (const signer of signers) {
    metadata.sign((data) => {
      return new Signature({ keyID: signer.keyId, sig: signer.sign(data).toHex() })
    })
  }
  return utf8(JSON.stringify(metadata.toJSON()))
}

/** Does `delegator` name enough of the keys that signed `metadata` as `role`? */
export function isSignedFor(
  delegator: Metadata<Root> | Metadata<Targets>,
  role: string,
  metadata: Parameters<Metadata<Root>['verifyDelegate']>[1],
): boolean {
  try {
    delegator.verifyDelegate(role, metadata)
    return true
  } catch (thrown) {
    // It throws for too few signatures and for an unknown role: both mean no.
    if (thrown instanceof Error) return false
    throw thrown
  }
}

/** Undefined when the file is no root that signed itself. */
export function versionOfRoot(bytes: Uint8Array): number | undefined {
  try {
    const root = parseRoot(bytes)
    return isSignedFor(root, 'root', root) ? root.signed.version : undefined
  } catch (thrown) {
    if (codeOf(thrown) === 'metadata-damaged') return undefined
    throw thrown
  }
}

/** RFC 3339 in whole seconds: python-tuf reads no other form. */
export function expiryTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z')
}
