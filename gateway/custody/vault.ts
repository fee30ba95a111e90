import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { codeOf, concat, IoexError, type Random, utf8, writeFileDurably } from '@ioex/node/base'

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const EMPTY = new Uint8Array()

/**
 * Seals what the gateway keeps for vendors. AES-256-GCM under a key of its own for each (vendor, purpose),
 * HKDF-SHA256(master key, 'ioex/gateway/1' || vendor || purpose), with a random nonce; vendor and purpose are
 * authenticated as well, so a row that is moved to another place does not open.
 */
export interface Vault {
  seal(vendor: string, purpose: string, secret: Uint8Array): Uint8Array
  /** Throws `secret-damaged`. */
  unseal(vendor: string, purpose: string, sealed: Uint8Array): Uint8Array
}

export function createVault(needs: { readonly random: Random }, masterKey: Uint8Array): Vault {
  if (masterKey.byteLength !== KEY_BYTES) throw masterKeyError('it has not 32 bytes')
  const contextOf = (vendor: string, purpose: string) =>
    utf8(['ioex/gateway/1', vendor.toLowerCase(), purpose].join('\0'))
  const keyOf = (context: Uint8Array) =>
    new Uint8Array(hkdfSync('sha256', masterKey, EMPTY, context, KEY_BYTES))
  return {
    seal(vendor, purpose, secret) {
      const context = contextOf(vendor, purpose)
      const nonce = needs.random.bytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keyOf(context), nonce).setAAD(context)
      return concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()])
    },
    unseal(vendor, purpose, sealed) {
      const context = contextOf(vendor, purpose)
      const end = sealed.byteLength - TAG_BYTES
      try {
        const decipher = createDecipheriv(
          'aes-256-gcm',
          keyOf(context),
          sealed.subarray(0, NONCE_BYTES),
          { authTagLength: TAG_BYTES },
        )
        decipher.setAAD(context).setAuthTag(sealed.subarray(end))
        return concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()])
      } catch (cause) {
        throw new IoexError('secret-damaged', `the ${purpose} of ${vendor} does not open`, {
          blame: 'local',
          fix: 'Start the gateway with the master key that belongs to this database.',
          cause,
        })
      }
    },
  }
}

/** Reads the master key file, and makes it (mode 0600) when it is not there. */
export async function loadMasterKey(
  needs: { readonly random: Random },
  path: string,
): Promise<Uint8Array> {
  try {
    const handle = await open(path, 'r')
    try {
      const { mode } = await handle.stat()
      if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
        throw masterKeyError(`others may read ${path}; run: chmod 600 ${path}`)
      }
    } finally {
      await handle.close()
    }
    const text = await readFile(path, 'utf8')
    if (!/^[0-9a-f]{64}\n?$/.test(text)) throw masterKeyError(`${path} holds something else`)
    return Uint8Array.fromHex(text.trim())
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
  }
  const key = needs.random.bytes(KEY_BYTES)
  await writeFileDurably(path, `${key.toHex()}\n`, { mode: 0o600 })
  return key
}

function masterKeyError(why: string): IoexError {
  return new IoexError('master-key-invalid', `the master key cannot be used: ${why}`, {
    blame: 'local',
    fix: 'Put the master key file back from your backup, 64 hexadecimal digits with mode 0600.',
  })
}
