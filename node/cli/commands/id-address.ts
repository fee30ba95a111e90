import { changeNospam } from '../../identity/index.ts'
import { defineCommand } from '../command.ts'
import { homeFolder, homeOption, homePaths } from '../home.ts'
import { openHomeKeystore, passphraseOf, passphraseOption } from '../home-keystore.ts'
import { flag } from '../options.ts'

export const command = defineCommand({
  about: 'Show the address to give to friends, or make a new one, so that the old one is refused.',
  examples: ['ioex id address', 'ioex id address --new'],
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    renew: flag('--new', 'make the addresses that were given out so far useless to strangers'),
  },
  next: 'ioex friend list',
  async run({ options, say, system }) {
    const home = homeFolder(options.home, system.env)
    const access = { ...options, home, system }
    const keystore = options.renew
      ? await changeNospam(homePaths(home).keystore, { passphrase: await passphraseOf(access) })
      : await openHomeKeystore(access)
    const { contactAddress } = keystore
    say.result({
      json: { contactAddress, renewed: options.renew },
      text: options.renew
        ? `${contactAddress}\nStart the node again, so that it refuses the old address.`
        : contactAddress,
      id: contactAddress,
    })
    return undefined
  },
})
