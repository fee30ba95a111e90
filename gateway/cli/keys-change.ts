import { fromHex, type Hex } from '@ioex/node/base'
import {
  argument,
  defineCommand,
  homeOption,
  many,
  misuse,
  passphraseOption,
  text,
  value,
  wholeNumber,
  withDefault,
} from '@ioex/node/cli'
import {
  describeDraft,
  draftKeys,
  lineKeysOf,
  type RoleKeys,
  rolesOf,
  type TufPublicKey,
  tufPublicKey,
} from '@ioex/node/firmware'
import { callerOf } from './gateway-caller.ts'
import { keyOption, ownMetadata, signAndDeliver, signersOf } from './signing.ts'
import { openHomeOf } from './vendor-home.ts'

/** Digits by which a key may be named: 48 bits, and a wrong one is noticed. */
const MIN_ID_DIGITS = 12
/** Holders of one role; a device checks each signature. */
const MAX_KEYS = 16

export const command = defineCommand({
  about: 'Change who may sign for a role, how many have to, and revoke keys that were lost.',
  examples: [
    'ioex vendor keys change root --add 0x5b1f… --add 0x09aa… --threshold 2',
    'ioex vendor keys change targets --remove 3f6c1e0b9d2a --add 0x77c0…',
    'ioex vendor keys change pump-s3 --add 0x5b1f… --threshold 1 --draft pump.draft',
  ],
  args: { role: argument('ROLE', 'root, targets (with every model of the same keys) or a model') },
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    key: keyOption,
    add: many('--add KEY', 'public key that may sign from now on'),
    remove: many('--remove ID', 'key that may no longer sign, by the start of its id'),
    threshold: value('--threshold N', 'so many have to sign', wholeNumber(1, MAX_KEYS)),
    draft: withDefault(text('--draft FILE', 'for what others have to sign'), 'keys.draft'),
  },
  async run({ args, options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const base = await ownMetadata(home, settings)
    const { role } = args
    const isTop = role === 'root' || role === 'targets'
    const before = isTop ? rolesOf(base)[role] : lineKeysOf(base, role)
    const keys = changed(before, options)
    const time = { nowMs: system.clock.nowMs() }
    const draft = draftKeys(base, isTop ? role : { model: role }, keys, time)
    for (const line of describeDraft(draft)) say.note(line)
    const signers = await signersOf(home, options, system)
    const http = callerOf(system, settings)
    say.result(
      await signAndDeliver({ home, http, settings, signal }, draft, signers, options.draft),
    )
    return undefined
  },
})

function changed(
  before: RoleKeys,
  change: {
    readonly add: readonly string[]
    readonly remove: readonly string[]
    readonly threshold: number | undefined
  },
): RoleKeys {
  const keys = new Map(before.keys.map((key) => [key.keyId, key]))
  for (const start of change.remove) {
    const found = [...keys.keys()].filter((keyId) => keyId.startsWith(start.toLowerCase()))
    const [keyId] = found
    if (start.length < MIN_ID_DIGITS || found.length !== 1 || keyId === undefined) {
      throw misuse('key-unknown', `"${start}" is no key of this role`, 'See: ioex vendor keys')
    }
    keys.delete(keyId)
  }
  for (const given of change.add) {
    const key = publicKey(given)
    keys.set(key.keyId, key)
  }
  const threshold = change.threshold ?? Math.min(before.threshold, keys.size)
  if (threshold > keys.size || keys.size > MAX_KEYS) {
    throw misuse(
      'threshold-wrong',
      `${threshold} of ${keys.size} keys cannot sign`,
      `Name at most ${MAX_KEYS} keys, and at most as high a threshold as there are keys.`,
    )
  }
  return { keys: [...keys.values()], threshold }
}

function publicKey(given: string): TufPublicKey {
  if (fromHex(given)?.byteLength === 32) return tufPublicKey(given as Hex)
  throw misuse('key-invalid', `"${given}" is no key`, 'Give 0x and 64 digits.')
}
