import { argument, defineCommand, homeOption, passphraseOption } from '@ioex/node/cli'
import { finishDraft } from '@ioex/node/firmware'
import { readDraft } from './draft-file.ts'
import { callerOf } from './gateway-caller.ts'
import { publishSigned } from './publish-signed.ts'
import { submitMetadata } from './signing.ts'
import { openHomeOf } from './vendor-home.ts'

export const command = defineCommand({
  about: 'Hand in a draft that enough holders have signed.',
  examples: ['ioex vendor keys submit keys.draft'],
  args: { draft: argument('DRAFT', 'the file') },
  options: { home: homeOption, passphraseFile: passphraseOption },
  async run({ args, options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const draft = await readDraft(args.draft)
    const http = callerOf(system, settings)
    const metadata = finishDraft(draft)
    const needs = { home, http, settings, signal, say }
    if (draft.publishes === undefined) {
      await submitMetadata(needs, draft.base, metadata)
      say.result({
        json: { submitted: true },
        text: 'The gateway has it; devices follow with their next poll.',
        id: 'submitted',
      })
      return undefined
    }
    const release = await publishSigned(needs, { ...draft.publishes, base: draft.base, metadata })
    say.result({
      json: { ...release },
      text: `${release.model} ${release.version} is published, on ${release.copies} nodes.`,
      id: release.id,
    })
    return undefined
  },
})
