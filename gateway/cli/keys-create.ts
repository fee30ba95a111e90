import { stat } from 'node:fs/promises'
import { systemRandom } from '@ioex/node/base'
import { argument, defineCommand, misuse, passphraseOf, passphraseOption } from '@ioex/node/cli'
import { createTufSeed, createTufSigner } from '@ioex/node/firmware'
import { createKeystore } from '@ioex/node/identity'

export const command = defineCommand({
  about: 'Make the key of one holder, in a file that only a passphrase opens.',
  examples: ['ioex vendor keys create ada.key --passphrase-file ada.txt'],
  args: { file: argument('FILE', 'where the key is kept; take a copy to another place') },
  options: { passphraseFile: passphraseOption },
  next: 'ioex vendor keys change root --add KEY --threshold N',
  async run({ args, options, say, system }) {
    const passphrase = await passphraseOf({ ...options, system })
    if (passphrase === undefined) {
      throw misuse(
        'passphrase-missing',
        'the key of a holder is kept under a passphrase',
        'Give --passphrase-file FILE, or - to read it from standard input.',
      )
    }
    const seed = createTufSeed(systemRandom)
    await createKeystore(args.file, { seed, passphrase }, systemRandom)
    const { keyId, publicKey } = createTufSigner(seed)
    const { mode } = await stat(args.file)
    say.result({
      json: { file: args.file, keyId, publicKey, mode: (mode & 0o777).toString(8) },
      text: [
        `Made ${args.file}, sealed by the passphrase.`,
        `  key  ${publicKey}`,
        `  id   ${keyId.slice(0, 12)}`,
        'Give the key, which is public, to whoever changes the roles.',
      ].join('\n'),
      id: publicKey,
    })
    return undefined
  },
})
