import { Decrypter, Encrypter } from 'age-encryption'
import type { Hex, IoexError } from '../base/index.ts'
import { WRAP_MAX_BYTES, WRAP_MAX_RECIPIENTS } from './limits.ts'
import { RELEASE_KEY_BYTES, releaseKeyHash, wrongKey } from './release-root.ts'
import { firmwareError } from './types.ts'

/**
 * An age file (age-encryption.org/v1) with the release key for a cohort of at most WRAP_MAX_RECIPIENTS devices.
 * Throws wrap-invalid when a recipient is none.
 */
export async function wrapReleaseKey(
  releaseKey: Uint8Array,
  ageRecipients: readonly string[],
): Promise<Uint8Array> {
  if (releaseKey.byteLength !== RELEASE_KEY_BYTES)
    throw invalid('a release key has 32 bytes', 'caller')
  const recipients = [...new Set(ageRecipients)]
  if (recipients.length === 0 || recipients.length > WRAP_MAX_RECIPIENTS) {
    throw invalid(`a wrap is for 1 to ${WRAP_MAX_RECIPIENTS} recipients`, 'caller')
  }
  const encrypter = new Encrypter()
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient)
    } catch (cause) {
      throw invalid(`${recipient.slice(0, 80)} is no age recipient`, 'caller', cause)
    }
  }
  return encrypter.encrypt(releaseKey)
}

/** The release key, not yet checked: see `unwrapCheckedReleaseKey`. Throws wrap-invalid. */
export async function unwrapReleaseKey(blob: Uint8Array, ageIdentity: string): Promise<Uint8Array> {
  if (blob.byteLength > WRAP_MAX_BYTES) throw invalid('the wrap is too large', 'peer')
  const decrypter = new Decrypter()
  decrypter.addIdentity(ageIdentity)
  let key: Uint8Array
  try {
    key = await decrypter.decrypt(blob)
  } catch (cause) {
    throw invalid('the wrap is damaged, or not for this device', 'peer', cause)
  }
  if (key.byteLength !== RELEASE_KEY_BYTES) throw invalid('the wrap holds no release key', 'peer')
  return key
}

/** As `unwrapReleaseKey`, and the key is the one that targets metadata names. Throws also release-key-wrong. */
export async function unwrapCheckedReleaseKey(
  blob: Uint8Array,
  ageIdentity: string,
  expectedHash: Hex,
): Promise<Uint8Array> {
  const key = await unwrapReleaseKey(blob, ageIdentity)
  if (releaseKeyHash(key) === expectedHash) return key
  throw wrongKey('the wrap holds the key of another release')
}

function invalid(message: string, blame: 'caller' | 'peer', cause?: unknown): IoexError {
  return firmwareError('wrap-invalid', message, {
    blame,
    fix:
      blame === 'peer'
        ? 'Ask the gateway for the wrap again.'
        : `Take the recipients from the gateway, ${WRAP_MAX_RECIPIENTS} at a time.`,
    ...(cause === undefined ? {} : { cause }),
  })
}
