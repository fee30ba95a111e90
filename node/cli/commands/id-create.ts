import { systemRandom } from '../../base/index.ts'
import { createKeystore, generateSeed, phraseToSeed } from '../../identity/index.ts'
import { defineCommand } from '../command.ts'
import { homeFolder, homeOption, homePaths } from '../home.ts'
import { passphraseOf, passphraseOption } from '../home-keystore.ts'
import { identityJson, identityText } from '../identity-output.ts'
import { readSecret, text } from '../options.ts'

export const command = defineCommand({
  about: 'Make the identity of a new node, or bring one back from its 24 words.',
  examples: [
    'ioex id create',
    'ioex id create --home /var/lib/ioex --passphrase-file pass.txt',
    'ioex id create --phrase-file words.txt',
  ],
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    phraseFile: text(
      '--phrase-file FILE',
      'file with the 24 words of an earlier identity, - for standard input',
    ),
  },
  next: 'ioex id',
  async run({ options, say, system }) {
    const home = homeFolder(options.home, system.env)
    const passphrase = await passphraseOf({ ...options, system })
    const phrase = await readSecret({ file: options.phraseFile, env: undefined }, system.stdin)
    const seed = phrase === undefined ? generateSeed(systemRandom) : phraseToSeed(phrase)
    const keystore = await createKeystore(homePaths(home).keystore, { seed, passphrase })
    say.result({
      json: { ...identityJson(home, keystore), created: true },
      text: `${phrase === undefined ? 'Made' : 'Brought back'} this identity:\n${identityText(home, keystore)}`,
      id: keystore.identity.peerId.toString(),
    })
    return undefined
  },
})
