import { defineCommand, homeOption, passphraseOption, text, withDefault } from '@ioex/node/cli'
import { draftRenewal } from '@ioex/node/firmware'
import { callerOf } from './gateway-caller.ts'
import { keyOption, ownMetadata, signAndDeliver, signersOf } from './signing.ts'
import { openHomeOf } from './vendor-home.ts'

export const command = defineCommand({
  about: 'Sign root, targets and every model again, for a year.',
  examples: ['ioex vendor keys renew', 'ioex vendor keys renew --draft renewal.draft'],
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    key: keyOption,
    draft: withDefault(text('--draft FILE', 'for what others have to sign'), 'keys.draft'),
  },
  async run({ options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const base = await ownMetadata(home, settings)
    const draft = draftRenewal(base, { nowMs: system.clock.nowMs() })
    const signers = await signersOf(home, options, system)
    const http = callerOf(system, settings)
    say.result(
      await signAndDeliver({ home, http, settings, signal }, draft, signers, options.draft),
    )
    return undefined
  },
})
