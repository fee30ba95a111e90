import { codeOf, systemRandom } from '../base/index.ts'
import { createKeystore, generateSeed, type Keystore, openKeystore } from '../identity/index.ts'
import { Failure } from './failure.ts'
import { homePaths } from './home.ts'
import { readSecret, text } from './options.ts'
import type { System } from './system.ts'

export const passphraseOption = text(
  '--passphrase-file FILE',
  'file with the passphrase of the key, - for standard input (or IOEX_PASSPHRASE)',
)

export interface KeystoreAccess {
  readonly home: string
  readonly passphraseFile: string | undefined
  readonly system: Pick<System, 'env' | 'stdin'>
}

export async function passphraseOf(
  access: Omit<KeystoreAccess, 'home'>,
): Promise<string | undefined> {
  const env = access.system.env.IOEX_PASSPHRASE
  return readSecret({ file: access.passphraseFile, env }, access.system.stdin)
}

/** Throws what `openKeystore` throws; a missing one says how to make it. */
export async function openHomeKeystore(access: KeystoreAccess): Promise<Keystore> {
  const passphrase = await passphraseOf(access)
  try {
    return await openKeystore(homePaths(access.home).keystore, { passphrase })
  } catch (thrown) {
    if (codeOf(thrown) !== 'keystore-missing') throw thrown
    throw new Failure('keystore-missing', `there is no identity in ${access.home}`, {
      fix: `Make one:  ioex id create --home ${access.home}`,
      cause: thrown,
    })
  }
}

/** For nodes and devices, which have to start without a person: what is missing is made. */
export async function openOrCreateHomeKeystore(
  access: KeystoreAccess,
): Promise<{ readonly keystore: Keystore; readonly created: boolean }> {
  const path = homePaths(access.home).keystore
  const passphrase = await passphraseOf(access)
  try {
    return { keystore: await openKeystore(path, { passphrase }), created: false }
  } catch (thrown) {
    if (codeOf(thrown) !== 'keystore-missing') throw thrown
  }
  const seed = generateSeed(systemRandom)
  return { keystore: await createKeystore(path, { seed, passphrase }), created: true }
}
