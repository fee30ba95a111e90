import { VendorSchema } from '@ioex/node/api'
import { systemRandom } from '@ioex/node/base'
import { defineCommand, Failure, flag, homeFolder, homeOption } from '@ioex/node/cli'
import { createTufSigner, renewLine, renewTargets } from '@ioex/node/firmware'
import { createIdentity } from '@ioex/node/identity'
import { callerOf } from './gateway-caller.ts'
import { encodeMetadata, openVendorHome } from './vendor-home.ts'

const LINE_PREFIX = 'line-'

export const command = defineCommand({
  about: 'Show where the keys of the vendor are, or sign its metadata again before it expires.',
  examples: ['ioex vendor keys', 'ioex vendor keys --renew'],
  options: {
    home: homeOption,
    renew: flag('--renew', 'sign the list of models and their releases again, for a year'),
  },
  async run({ options, say, system, signal }) {
    const home = openVendorHome(homeFolder(options.home, system.env), systemRandom)
    const settings = await home.settings()
    const { vendor, custody, gateway, token } = settings
    if (custody === 'managed') {
      say.result({
        json: { vendor, custody, gateway },
        text: `The gateway ${gateway} keeps the keys of ${vendor} and renews its metadata.`,
        id: vendor,
      })
      return undefined
    }
    const root = createTufSigner(await home.secret('tuf-root'))
    const targets = createTufSigner(await home.secret('tuf-targets'))
    const account = createIdentity(await home.secret('account')).evmAddress
    if (options.renew) {
      let metadata = await home.metadata()
      if (metadata === undefined) {
        throw new Failure('metadata-missing', `there is no metadata in ${home.folder}`, {
          fix: 'Restore the folder from your copy.',
        })
      }
      const time = { nowMs: system.clock.nowMs() }
      metadata = renewTargets(metadata, [targets], time)
      for (const role of Object.keys(metadata.lines)) {
        metadata = renewLine(metadata, role.slice(LINE_PREFIX.length), [targets], time)
      }
      const { targets: file, lines } = encodeMetadata(metadata)
      await callerOf(system, { gateway, token }).json(
        {
          method: 'POST',
          path: `/v1/vendors/${vendor}/tuf-metadata`,
          json: { targets: file, lines },
          signal,
        },
        VendorSchema,
      )
      await home.saveMetadata(metadata)
    }
    say.result({
      json: {
        vendor,
        custody,
        gateway,
        account,
        folder: home.folder,
        rootKey: root.keyId,
        targetsKey: targets.keyId,
        renewed: options.renew,
      },
      text: [
        `${vendor} signs with its own keys in ${home.folder}/keys:`,
        `  account  ${account}`,
        `  root     ${root.keyId}`,
        `  targets  ${targets.keyId}`,
        options.renew
          ? 'Signed again; good for a year.'
          : 'Renew once a year: ioex vendor keys --renew',
      ].join('\n'),
      id: vendor,
    })
    return undefined
  },
})
