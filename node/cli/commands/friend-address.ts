import { defineCommand } from '../command.ts'
import { homeFolder, homeOption } from '../home.ts'
import { openHomeKeystore, passphraseOption } from '../home-keystore.ts'

export const command = defineCommand({
  about: 'Print the address to give to people who shall be able to ask for friendship.',
  examples: ['ioex friend address', 'ioex friend address --quiet'],
  options: { home: homeOption, passphraseFile: passphraseOption },
  next: 'on the other side:  ioex friend request ADDRESS',
  async run({ options, say, system }) {
    const home = homeFolder(options.home, system.env)
    const { contactAddress } = await openHomeKeystore({ ...options, home, system })
    say.result({ json: { contactAddress }, text: contactAddress, id: contactAddress })
    return undefined
  },
})
