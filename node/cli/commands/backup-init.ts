import { codeOf, systemRandom } from '../../base/index.ts'
import {
  createKeystore,
  generateSeed,
  type Keystore,
  openKeystore,
  phraseToSeed,
  seedToPhrase,
} from '../../identity/index.ts'
import { backupOptions, pairingOptions, withDrive } from '../backup-node.ts'
import { defineCommand } from '../command.ts'
import { Failure } from '../failure.ts'
import { homeFolder, homePaths } from '../home.ts'
import { passphraseOf } from '../home-keystore.ts'
import { identityJson, identityText } from '../identity-output.ts'
import { loadNetworkFile } from '../network-file.ts'
import { flag, readSecret, text } from '../options.ts'
import type { Say } from '../say.ts'

/** Enough to see that they were written down; typing all of them is what people give up at. */
const ASKED_WORDS = [3, 9]

export const command = defineCommand({
  about: 'Make the key of your backups, or bring it back from its 24 words.',
  examples: [
    'ioex backup init --network network.json',
    'ioex backup init --show-phrase --pair 2wPxAq… --pairing-code-file code.txt',
    'ioex backup init --phrase-file words.txt --network network.json',
  ],
  options: {
    ...backupOptions,
    ...pairingOptions,
    phraseFile: text(
      '--phrase-file FILE',
      'file with the 24 words of an earlier key, - for standard input',
    ),
    showPhrase: flag('--show-phrase', 'print the 24 recovery words to standard output'),
  },
  next: 'ioex backup push PATH',
  async run(call) {
    const { options, say, system, signal } = call
    const home = homeFolder(options.home, system.env)
    const passphrase = await passphraseOf({ ...options, system })
    const given = await readSecret({ file: options.phraseFile, env: undefined }, system.stdin)
    const { keystore, created } = await openOrCreate(homePaths(home).keystore, given, passphrase)
    if (created && given === undefined && !options.showPhrase) await teach(keystore, say, signal)
    if (options.network !== undefined) await loadNetworkFile(home, options, system.clock)
    const pairing = options.pair.length + options.peer.length > 0
    const friends = pairing
      ? await withDrive(
          call,
          async ({ node }) =>
            node.friends.list().map(({ peerId, name }) => ({ peerId: peerId.toString(), name })),
          keystore,
        )
      : []
    const phrase = options.showPhrase ? seedToPhrase(keystore.revealSeed()) : undefined
    say.result({
      json: {
        ...identityJson(home, keystore),
        created,
        friends,
        ...(phrase === undefined ? {} : { phrase }),
      },
      text: [
        created ? 'This key seals your backups:' : 'The key of this home seals your backups:',
        identityText(home, keystore),
        ...(phrase === undefined ? [] : [`Recovery words: ${phrase}`]),
        ...(pairing ? [`Friends that can keep them: ${friends.length}`] : []),
      ].join('\n'),
      id: keystore.identity.peerId.toString(),
    })
    return undefined
  },
})

async function openOrCreate(
  path: string,
  phrase: string | undefined,
  passphrase: string | undefined,
): Promise<{ readonly keystore: Keystore; readonly created: boolean }> {
  const seed = phrase === undefined ? undefined : phraseToSeed(phrase)
  try {
    const keystore = await openKeystore(path, { passphrase })
    if (seed === undefined || Buffer.from(seed).equals(keystore.revealSeed())) {
      return { keystore, created: false }
    }
  } catch (thrown) {
    if (codeOf(thrown) !== 'keystore-missing') throw thrown
    const made = { seed: seed ?? generateSeed(systemRandom), passphrase }
    return { keystore: await createKeystore(path, made), created: true }
  }
  throw new Failure('keystore-exists', 'this home has the key of somebody else', {
    fix: 'Restore into a fresh one:  ioex backup init --home DIR --phrase-file FILE',
  })
}

/** Shows the words on the terminal, once, and sees that they were written down. */
async function teach(keystore: Keystore, say: Say, signal: AbortSignal): Promise<void> {
  if (!say.interactive) {
    say.warn('nobody can restore without the recovery words:  ioex backup init --show-phrase')
    return
  }
  const words = seedToPhrase(keystore.revealSeed()).split(' ')
  say.note('Your recovery words (write them down; nobody can restore without them):')
  say.note(words.map((word, at) => `${at + 1} ${word}`).join('  '))
  const wanted = ASKED_WORDS.map((number) => words[number - 1] ?? '')
  for (;;) {
    const answer = await say.ask({
      question: `Type words ${ASKED_WORDS.join(' and ')} to go on:`,
      flag: '--show-phrase',
      signal,
    })
    if (answer.trim().toLowerCase().split(/\s+/).join(' ') === wanted.join(' ')) return
    say.note('That is not what stands above. Look again.')
  }
}
