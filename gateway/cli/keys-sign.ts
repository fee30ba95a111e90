import { argument, defineCommand, homeOption, passphraseOption } from '@ioex/node/cli'
import { describeDraft, missingSignatures, signDraft } from '@ioex/node/firmware'
import { readDraft, writeDraft } from './draft-file.ts'
import { keyOption, signersOf, waitingOutcome } from './signing.ts'
import { openHomeOf } from './vendor-home.ts'

export const command = defineCommand({
  about: 'Sign a draft that another holder has sent; what it changes is said first.',
  examples: ['ioex vendor keys sign keys.draft --key ada.key --passphrase-file ada.txt'],
  args: { draft: argument('DRAFT', 'the file; the signatures are added to it') },
  options: { home: homeOption, passphraseFile: passphraseOption, key: keyOption },
  async run({ args, options, say, system }) {
    const draft = await readDraft(args.draft)
    const words = describeDraft(draft)
    for (const line of words) say.note(line)
    const signers = await signersOf(openHomeOf(options, system), options, system)
    const { draft: signed, signed: roles } = signDraft(draft, signers)
    const missing = missingSignatures(signed)
    if (roles.length > 0) await writeDraft(args.draft, { ...draft, ...signed })
    if (missing.length > 0) {
      const waiting = waitingOutcome(args.draft, roles, missing)
      say.result({ ...waiting, json: { ...waiting.json, changes: [...words] } })
      return undefined
    }
    say.result({
      json: {
        submitted: false,
        draft: args.draft,
        signed: [...roles],
        missing: [],
        changes: [...words],
      },
      text: `Signed ${roles.join(', ')}; nothing is missing.\nNext, where the vendor publishes: ioex vendor keys submit ${args.draft}`,
      id: args.draft,
    })
    return undefined
  },
})
