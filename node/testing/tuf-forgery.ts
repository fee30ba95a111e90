import { fromUtf8, utf8 } from '../base/index.ts'
import { signFile, type TufSigner } from '../firmware/index.ts'
import type { FakeVendor } from './fake-vendor.ts'

type Value =
  | string
  | number
  | boolean
  | null
  | readonly Value[]
  | { readonly [name: string]: Value }
export type SignedPart = Record<string, Value>

/** Changes a file of the repository without the keys: the signatures stay as they were. */
export function tamper(
  vendor: Pick<FakeVendor, 'repository'>,
  name: string,
  change: (signed: SignedPart) => void,
): void {
  const file = JSON.parse(fromUtf8(fileOf(vendor, name))) as { signed: SignedPart }
  change(file.signed)
  vendor.repository.set(name, utf8(JSON.stringify(file)))
}

/** As `tamper`, signed by whoever the attacker is. */
export function forge(
  vendor: Pick<FakeVendor, 'repository'>,
  name: string,
  signers: readonly TufSigner[],
  change: (signed: SignedPart) => void,
): void {
  tamper(vendor, name, change)
  const { signed } = JSON.parse(fromUtf8(fileOf(vendor, name))) as { signed: SignedPart }
  vendor.repository.set(name, signFile(signed, signers))
}

/** Name of the highest version of a role's file. */
export function newestFile(vendor: Pick<FakeVendor, 'repository'>, role: string): string {
  const names = [...vendor.repository.keys()].filter((name) => name.endsWith(`.${role}.json`))
  const [newest] = names.sort((a, b) => Number.parseInt(b) - Number.parseInt(a))
  if (newest !== undefined) return newest
  throw new Error(`the repository has no ${role}`)
}

/** What a thief of the online key can do: snapshot and timestamp over a file that it made, as the next version. */
export function nameInSnapshot(vendor: FakeVendor, role: string, bytes: Uint8Array): void {
  const { version } = (JSON.parse(fromUtf8(bytes)) as { signed: { version: number } }).signed
  vendor.repository.set(`${version}.${role}.json`, bytes)
  const last = newestFile(vendor, 'snapshot')
  const nextVersion = Number.parseInt(last) + 1
  const next = `${nextVersion}.snapshot.json`
  vendor.repository.set(next, fileOf(vendor, last))
  forge(vendor, next, [vendor.signers.online], (signed) => {
    signed['version'] = nextVersion
    signed['meta'] = { ...(signed['meta'] as SignedPart), [`${role}.json`]: { version } }
  })
  forge(vendor, 'timestamp.json', [vendor.signers.online], (signed) => {
    signed['version'] = Number(signed['version']) + 1
    signed['meta'] = { 'snapshot.json': { version: nextVersion } }
  })
}

function fileOf({ repository }: Pick<FakeVendor, 'repository'>, name: string): Uint8Array {
  const bytes = repository.get(name)
  if (bytes !== undefined) return bytes
  throw new Error(`the repository has no ${name}`)
}
