import type { Keystore } from '../identity/index.ts'
import { formatTable } from './format.ts'

export function identityJson(home: string, { identity, contactAddress, protection }: Keystore) {
  return {
    peerId: identity.peerId.toString(),
    account: identity.evmAddress,
    contactAddress,
    ageRecipient: identity.ageRecipient,
    protection,
    home,
  }
}

export function identityText(home: string, { identity, contactAddress, protection }: Keystore) {
  return formatTable([
    ['ID', identity.peerId.toString()],
    ['account', identity.evmAddress],
    ['address for friends', contactAddress],
    [
      'key',
      protection === 'passphrase' ? 'behind a passphrase' : 'protected by the file mode only',
    ],
    ['home', home],
  ])
}
