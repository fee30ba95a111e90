import { defineCommand } from '../command.ts'
import { homeFolder, homeOption } from '../home.ts'
import { openHomeKeystore, passphraseOption } from '../home-keystore.ts'
import { identityJson, identityText } from '../identity-output.ts'

export const command = defineCommand({
  about: 'Show who this node is: its ID, its account and the address to give to friends.',
  examples: ['ioex id', 'ioex id --json --home /var/lib/ioex'],
  options: { home: homeOption, passphraseFile: passphraseOption },
  next: 'ioex friend address',
  async run({ options, say, system }) {
    const home = homeFolder(options.home, system.env)
    const keystore = await openHomeKeystore({ ...options, home, system })
    say.result({
      json: identityJson(home, keystore),
      text: identityText(home, keystore),
      id: keystore.identity.peerId.toString(),
    })
    return undefined
  },
})
