import { VendorCreatedSchema, VendorSchema } from '@ioex/node/api'
import {
  defineCommand,
  Failure,
  flag,
  fromEnv,
  homeOption,
  httpUrl,
  misuse,
  passphraseOption,
  readSecret,
  required,
  text,
  value,
} from '@ioex/node/cli'
import { createTufSigner, createVendorMetadata, tufPublicKey } from '@ioex/node/firmware'
import { createIdentity } from '@ioex/node/identity'
import { callerOf } from './gateway-caller.ts'
import { encodeMetadata, openHomeOf } from './vendor-home.ts'

export const command = defineCommand({
  about: 'Register a vendor; the keys that sign releases are made here and stay here.',
  examples: [
    'ioex vendor create --gateway https://fw.example --name Acme --operator-token-file op.token',
    'ioex vendor create --gateway https://fw.example --name Acme --managed',
  ],
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    gateway: required(fromEnv(value('--gateway URL', 'the gateway', httpUrl), 'IOEX_GATEWAY')),
    name: required(text('--name NAME', 'how people know the vendor')),
    managed: flag('--managed', 'leave all keys with the gateway, to publish from a browser too'),
    operatorTokenFile: text(
      '--operator-token-file FILE',
      "file with the operator's token, - for standard input (or IOEX_OPERATOR_TOKEN)",
    ),
  },
  next: 'ioex firmware publish FILE --model M --version V',
  async run({ options, say, system, signal }) {
    const home = openHomeOf(options, system)
    if (await home.exists()) {
      throw new Failure('vendor-exists', `${home.folder} holds a vendor already`, {
        fix: 'Use it, or name another folder with --home.',
      })
    }
    const token = await readSecret(
      { file: options.operatorTokenFile, env: system.env['IOEX_OPERATOR_TOKEN'] },
      system.stdin,
    )
    if (token === undefined) {
      throw misuse(
        'operator-token-missing',
        'registering a vendor needs the token of the operator',
        'Give --operator-token-file FILE.',
      )
    }
    const { gateway, name } = options
    say.note(`Registering ${name} at ${gateway} …`)
    const custody = options.managed ? 'managed' : 'own'
    const account = createIdentity(await home.secret('account')).evmAddress
    const created = await callerOf(system, { gateway, token }).json(
      {
        method: 'POST',
        path: '/v1/vendors',
        json: { name, custody, account },
        signal,
      },
      VendorCreatedSchema,
    )
    if (custody === 'own') {
      const root = createTufSigner(await home.secret('tuf-root'))
      const targets = createTufSigner(await home.secret('tuf-targets'))
      const metadata = createVendorMetadata(
        {
          root: { keys: [root], threshold: 1 },
          targets: { keys: [targets], threshold: 1 },
          online: { keys: [tufPublicKey(created.onlineTufKey)], threshold: 1 },
        },
        { root: [root], targets: [targets] },
        { nowMs: system.clock.nowMs() },
      )
      await callerOf(system, { gateway, token: created.token }).json(
        {
          method: 'POST',
          path: `/v1/vendors/${created.vendor}/tuf-metadata`,
          json: encodeMetadata(metadata),
          signal,
        },
        VendorSchema,
      )
      await home.saveMetadata(metadata)
    }
    await home.saveSettings({ gateway, vendor: created.vendor, custody, token: created.token })
    const where =
      custody === 'own'
        ? `Its keys were made in ${home.folder} and stay there: keep a copy of that folder.`
        : 'The gateway keeps its keys, encrypted.'
    say.result({
      json: { vendor: created.vendor, name, custody, gateway, folder: home.folder },
      text: `Registered ${name} as ${created.vendor}. ${where}\nNext: ioex firmware publish FILE --model M --version V`,
      id: created.vendor,
    })
    return undefined
  },
})
