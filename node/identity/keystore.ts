/**
 * One small JSON file that holds the seed and the nospam. With a passphrase both are sealed with
 * AES-256-GCM under scrypt(passphrase); without one (a device or server that must start unattended) the
 * file says so plainly and its mode is the protection. Who can write the file can replace it whole, so a
 * caller that gives a passphrase never gets a keystore that has none.
 */
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  asError,
  codeOf,
  KIB,
  type Random,
  syncFolder,
  systemRandom,
  utf8,
  writeFileDurably,
} from '../base/index.ts'
import { checkNospam, encodeContactAddress, NOSPAM_BYTES } from './contact-address.ts'
import { checkSeed, createIdentity, deriveFromSeed } from './create-identity.ts'
import {
  type KeystoreContent,
  type KeystoreSecrets,
  parseContent,
  sealContent,
  unsealContent,
} from './keystore-content.ts'
import { type Identity, identityError } from './types.ts'

/** Ours are under 500 bytes; a file beyond this is none and is not read. */
const MAX_FILE_BYTES = 4 * KIB
const FILE_MODE = 0o600
const GROUP_AND_OTHERS = 0o077

export interface KeystoreKey {
  /** Undefined only on purpose: the file's mode is then its only protection. */
  readonly passphrase: string | undefined
}

export interface CreateKeystoreOptions extends KeystoreKey {
  /** 32 bytes. */
  readonly seed: Uint8Array
  /** 4 bytes; left out, it is derived from the seed, so that a restored node has its first address again. */
  readonly nospam?: Uint8Array
}

export interface Keystore {
  readonly identity: Identity
  readonly nospam: Uint8Array
  /** What to give to friends: `encodeContactAddress` of the two above. */
  readonly contactAddress: string
  readonly protection: KeystoreContent['protection']
  /** For writing down as 24 words; never leaves the machine otherwise. */
  revealSeed(): Uint8Array
}

/** Throws keystore-exists and leaves the file alone when there is one. */
export async function createKeystore(
  path: string,
  options: CreateKeystoreOptions,
  random: Random = systemRandom,
): Promise<Keystore> {
  checkSeed(options.seed)
  checkPassphrase(options.passphrase)
  const nospam = options.nospam ?? deriveFromSeed(options.seed, utf8('ioex/nospam/1'), NOSPAM_BYTES)
  checkNospam(nospam)
  const secrets = { seed: options.seed.slice(), nospam: nospam.slice() }
  await writeNew(path, await sealContent(secrets, options.passphrase, random))
  return keystoreOf(secrets, options.passphrase === undefined ? 'file-mode' : 'passphrase')
}

/** Throws keystore-missing, keystore-damaged, keystore-exposed or passphrase-wrong. */
export async function openKeystore(path: string, key: KeystoreKey): Promise<Keystore> {
  const content = await readContent(path)
  return keystoreOf(await unsealContent(content, key.passphrase), content.protection)
}

/** From now on the old contact address is refused. `nospam`: 4 bytes, random when left out. Errors as in `openKeystore`. */
export async function changeNospam(
  path: string,
  options: KeystoreKey & { readonly nospam?: Uint8Array },
  random: Random = systemRandom,
): Promise<Keystore> {
  const nospam = (options.nospam ?? random.bytes(NOSPAM_BYTES)).slice()
  checkNospam(nospam)
  const content = await readContent(path)
  const { seed } = await unsealContent(content, options.passphrase)
  const text = await sealContent({ seed, nospam }, options.passphrase, random)
  await writeFileDurably(path, text, { mode: FILE_MODE })
  return keystoreOf({ seed, nospam }, content.protection)
}

function keystoreOf(secrets: KeystoreSecrets, protection: Keystore['protection']): Keystore {
  const identity = createIdentity(secrets.seed)
  const nospam = secrets.nospam.slice()
  return {
    identity,
    nospam,
    contactAddress: encodeContactAddress({ publicKey: identity.publicKey, nospam }),
    protection,
    revealSeed: () => secrets.seed.slice(),
  }
}

function checkPassphrase(passphrase: string | undefined): void {
  if (passphrase !== '') return
  throw identityError('passphrase-wrong', 'an empty passphrase protects nothing', {
    blame: 'caller',
    fix: 'Give a passphrase, or ask for a keystore without one on purpose.',
  })
}

async function readContent(path: string): Promise<KeystoreContent> {
  const { text, mode } = await readBounded(path)
  const content = parseContent(text)
  if (content === undefined) throw damaged(path)
  const exposed = process.platform !== 'win32' && (mode & GROUP_AND_OTHERS) !== 0
  if (content.protection === 'file-mode' && exposed) {
    throw identityError('keystore-exposed', `others on this machine may read ${path}`, {
      blame: 'local',
      fix: `Take it as known to others, or if that cannot be: chmod 600 ${path}`,
    })
  }
  return content
}

async function readBounded(path: string): Promise<{ text: string; mode: number }> {
  const file = await open(path, 'r').catch((thrown: unknown) => {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    throw identityError('keystore-missing', `there is no keystore at ${path}`, {
      blame: 'caller',
      fix: 'Make one, or name the right file.',
      cause: asError(thrown),
    })
  })
  try {
    const { size, mode } = await file.stat()
    if (size > MAX_FILE_BYTES) throw damaged(path)
    const buffer = Buffer.alloc(MAX_FILE_BYTES)
    const { bytesRead } = await file.read(buffer, 0, MAX_FILE_BYTES, 0)
    return { text: buffer.toString('utf8', 0, bytesRead), mode }
  } finally {
    await file.close()
  }
}

function damaged(path: string) {
  return identityError('keystore-damaged', `${path} is no keystore that this version can read`, {
    blame: 'local',
    fix: 'Put back a copy of the file, or move it away and restore from the 24 words.',
  })
}

let serial = 0

/** A seed must never replace another one, so the finished file gets its name by `link`, which cannot overwrite. */
async function writeNew(path: string, text: string): Promise<void> {
  const finished = `${path}.${process.pid}.${serial++}.new`
  await writeFileDurably(finished, text, { mode: FILE_MODE })
  try {
    await link(finished, path)
  } catch (thrown) {
    if (codeOf(thrown) === 'EEXIST') throw exists(path)
    await renameWithoutLinks(finished, path, thrown)
  } finally {
    await rm(finished, { force: true })
  }
  await syncFolder(dirname(path))
}

/** FAT and some network file systems know no hard links: there, look first, then rename. */
async function renameWithoutLinks(finished: string, path: string, refusal: unknown): Promise<void> {
  const code = codeOf(refusal)
  if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw refusal
  const taken = await open(path, 'r').catch((thrown: unknown) => {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    return undefined
  })
  if (taken !== undefined) {
    await taken.close()
    throw exists(path)
  }
  await rename(finished, path)
}

function exists(path: string) {
  return identityError('keystore-exists', `there is a keystore at ${path} already`, {
    blame: 'caller',
    fix: 'Open it, or move it away first: whoever it holds would be lost.',
  })
}
