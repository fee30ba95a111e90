import { hash } from 'node:crypto'
import { Metadata, type MetadataKind, Signature } from '@tufjs/models'
import { utf8 } from '../base/index.ts'
import { createTufSigner, type TufSigner } from '../firmware/index.ts'

const DAY_MS = 86_400_000
const TOP_LEVEL = ['root', 'timestamp', 'snapshot', 'targets']

type ModelJson = ReturnType<Metadata<never>['toJSON']>

interface Role {
  /** Of what was published last. Tests set it back to publish a lower one. */
  version: number
  expiresMs: number
  /** Whoever signs it, whatever is delegated. */
  signers: TufSigner[]
}

interface Delegation {
  readonly name: string
  readonly paths: readonly string[]
  readonly terminating: boolean
  readonly keys: readonly TufSigner[]
}

/**
 * A TUF repository of any shape, with real keys, whose roles a test moves as it likes: `publish` signs what the
 * roles say at that moment, however wrong it is.
 */
export interface FakeTufRepository {
  /** What it serves: `metadata/…` and `targets/…`. */
  readonly files: Map<string, Uint8Array>
  readonly initialRoot: Uint8Array
  role(name: string): Role
  /** In this order, each with its next version. */
  publish(...roles: readonly string[]): void
  /** New keys for a role of the root. */
  rotate(role: string): void
  /** New keys of the delegator for this role, which signs with them beside those that it has. */
  delegate(
    delegator: string,
    name: string,
    paths: readonly string[],
    options?: { readonly terminating?: boolean },
  ): readonly TufSigner[]
  addTarget(role: string, path: string, content: Uint8Array): void
}

export function createFakeTufRepository(needs: {
  readonly clock: { nowMs(): number }
}): FakeTufRepository {
  let serial = 0
  const newKey = () => createTufSigner(new Uint8Array(32).fill(++serial))
  const roles = new Map<string, Role>()
  const keys = new Map<string, TufSigner[]>()
  const delegations = new Map<string, Delegation[]>()
  const targets = new Map<string, Record<string, object>>()
  const files = new Map<string, Uint8Array>()

  const role = (name: string): Role => {
    const known = roles.get(name)
    if (known !== undefined) return known
    const made = { version: 0, expiresMs: needs.clock.nowMs() + 30 * DAY_MS, signers: [] }
    roles.set(name, made)
    return made
  }
  const body = (name: string): object => {
    if (name === 'root') {
      return {
        consistent_snapshot: true,
        keys: keysJson([...keys.values()].flat()),
        roles: Object.fromEntries(
          Array.from(keys, ([of, list]) => [of, { keyids: idsOf(list), threshold: 1 }]),
        ),
      }
    }
    if (name === 'timestamp') {
      return { meta: { 'snapshot.json': { version: role('snapshot').version } } }
    }
    if (name === 'snapshot') {
      const named = [...roles].filter(([of]) => of === 'targets' || !TOP_LEVEL.includes(of))
      return {
        meta: Object.fromEntries(named.map(([of, { version }]) => [`${of}.json`, { version }])),
      }
    }
    const below = delegations.get(name) ?? []
    return {
      targets: targets.get(name) ?? {},
      ...(below.length === 0
        ? {}
        : {
            delegations: {
              keys: keysJson(below.flatMap((one) => one.keys)),
              roles: below.map(({ keys: own, ...rest }) => {
                return { ...rest, keyids: idsOf(own), threshold: 1 }
              }),
            },
          }),
    }
  }
  const publish = (name: string) => {
    const state = role(name)
    state.version++
    const type = TOP_LEVEL.includes(name) ? name : 'targets'
    const signed = {
      _type: type,
      spec_version: '1.0.31',
      version: state.version,
      expires: new Date(state.expiresMs).toISOString().replace(/\.\d+Z$/, 'Z'),
      ...body(name),
    }
    const json = { signed, signatures: [] } as unknown as ModelJson
    // The kind picks the class; all of them sign and print alike.
    const metadata = Metadata.fromJSON(type as MetadataKind.Targets, json)
    for (const { keyId, sign } of state.signers) {
      metadata.sign((data) => new Signature({ keyID: keyId, sig: sign(data).toHex() }))
    }
    const file = `${encodeURIComponent(name)}.json`
    const path = name === 'timestamp' ? file : `${state.version}.${file}`
    files.set(`metadata/${path}`, utf8(JSON.stringify(metadata.toJSON())))
  }

  for (const name of TOP_LEVEL) {
    keys.set(name, [newKey()])
    role(name).signers = [...(keys.get(name) ?? [])]
  }
  for (const name of ['root', 'targets', 'snapshot', 'timestamp']) publish(name)
  const initialRoot = files.get('metadata/1.root.json') ?? new Uint8Array()
  return {
    files,
    initialRoot,
    role,
    publish: (...names) => names.forEach(publish),
    rotate(name) {
      const made = newKey()
      // Root has to be signed by the old and the new key.
      role(name).signers = name === 'root' ? [...(keys.get(name) ?? []), made] : [made]
      keys.set(name, [made])
    },
    delegate(delegator, name, paths, { terminating = false } = {}) {
      const made = [newKey()]
      const list = delegations.get(delegator) ?? []
      delegations.set(delegator, [...list, { name, paths, terminating, keys: made }])
      role(name).signers.push(...made)
      return made
    },
    addTarget(of, path, content) {
      const sha256 = hash('sha256', content, 'hex')
      targets.set(of, {
        ...targets.get(of),
        [path]: { length: content.byteLength, hashes: { sha256 } },
      })
      const slash = path.lastIndexOf('/') + 1
      files.set(`targets/${path.slice(0, slash)}${sha256}.${path.slice(slash)}`, content)
    },
  }
}

function idsOf(keys: readonly TufSigner[]): string[] {
  return keys.map((key) => key.keyId)
}

function keysJson(keys: readonly TufSigner[]): object {
  return Object.fromEntries(
    keys.map(({ keyId, publicKey }) => [
      keyId,
      { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: publicKey.slice(2) } },
    ]),
  )
}
