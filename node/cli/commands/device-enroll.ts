import { homeFolder, homeOption, homePaths } from '../home.ts'
import { defineCommand } from '../command.ts'
import { openOrCreateHomeKeystore, passphraseOption } from '../home-keystore.ts'
import { fromEnv, httpUrl, required, text, value } from '../options.ts'

export const command = defineCommand({
  about:
    'Join the fleet of a vendor with a code from its console; the key is made here and stays here.',
  examples: ['ioex device enroll --gateway https://fw.example --code 7F3K-92QD'],
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    gateway: required(
      fromEnv(value('--gateway URL', "the vendor's gateway", httpUrl), 'IOEX_GATEWAY'),
    ),
    code: required(text('--code CODE', 'good for a few minutes; not secret once it is used')),
  },
  next: 'ioex device run --slot-dir /var/lib/device',
  async run({ options, say, system, signal }) {
    const home = homeFolder(options.home, system.env)
    say.note(`Asking ${options.gateway} …`)
    const { keystore } = await openOrCreateHomeKeystore({ ...options, home, system })
    const { createGatewayClient } = await import('../../api/index.ts')
    const { enrollDevice } = await import('../../device/index.ts')
    const { clock } = system
    const { gateway, code } = options
    const { enrollment, networkFile } = await enrollDevice(
      {
        identity: keystore.identity,
        api: createGatewayClient({ clock, fetch: (url, init) => fetch(url, init) }, { gateway }),
        clock,
      },
      { folder: homePaths(home).device, gateway, code, signal },
    )
    const { device, vendor, model } = enrollment
    say.result({
      json: {
        device,
        peerId: keystore.identity.peerId.toString(),
        vendor,
        model,
        gateway,
        networkVersion: networkFile.version,
        home,
      },
      text: `Enrolled ${device} (model ${model}). Its key was made here and stays here.\nNext: ioex device run --slot-dir DIR`,
      id: device,
    })
    return undefined
  },
})
