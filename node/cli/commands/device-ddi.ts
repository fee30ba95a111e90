import { readFile } from 'node:fs/promises'
import { asError } from '../../base/index.ts'
import { agentOptions } from '../agent-options.ts'
import { defineCommand } from '../command.ts'
import { mustBeSafe, readDdiClients } from '../ddi-clients.ts'
import { listenDdi } from '../ddi-listener.ts'
import { runDevice } from '../device-run.ts'
import { misuse } from '../failure.ts'
import { homeOption } from '../home.ts'
import { passphraseOption } from '../home-keystore.ts'
import { installerOptions } from '../installer-options.ts'
import { duration, flag, hostAndPort, text, value, withDefault } from '../options.ts'

const { slotDir, space } = installerOptions

export const command = defineCommand({
  about:
    "Fetch releases from peers, verify them, and offer them to an unmodified client of hawkBit's DDI, such as SWUpdate, whose reports this device signs.",
  examples: [
    'ioex device ddi',
    'ioex device ddi --serve 127.0.0.1:8080 --poll 5m',
    'ioex device ddi --serve 0.0.0.0:8443 --tls-cert site.crt --tls-key site.key --clients clients.json',
  ],
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    serve: withDefault(
      value('--serve HOST:PORT', 'where the client asks; its URL of hawkBit', hostAndPort),
      { host: '127.0.0.1', port: 4190 },
    ),
    clients: text(
      '--clients FILE',
      'JSON of {"name": "token"}, a token for each; left out: one client, whose token is made here',
    ),
    tlsCert: text('--tls-cert FILE', 'PEM; needed to serve beyond this machine'),
    tlsKey: text('--tls-key FILE', 'PEM'),
    confirm: flag('--confirm', 'the person at the device is asked before each update'),
    poll: withDefault(value('--poll TIME', 'how soon clients ask again', duration), 60_000),
    slotDir,
    space,
    ...agentOptions,
  },
  follows: true,
  next: 'ioex device status',
  async run(call) {
    const { serve, tlsCert, tlsKey, clients: clientsFile, confirm, poll, group } = call.options
    if ((tlsCert === undefined) !== (tlsKey === undefined)) {
      throw misuse('tls-incomplete', 'a certificate and its key belong together', 'Give both.')
    }
    const hasTls = tlsCert !== undefined && tlsKey !== undefined
    mustBeSafe({ host: serve.host, hasTls, hasClients: clientsFile !== undefined })
    const tls = hasTls ? { cert: await readFile(tlsCert), key: await readFile(tlsKey) } : undefined
    const { clock } = call.system
    return runDevice(
      { ...call, options: { ...call.options, once: false, follow: true } },
      async (parts) => {
        const { folder, slots, log } = parts
        const { model } = parts.enrolled.enrollment
        const device = await import('../../device/index.ts')
        const { clients, tokenFile } = await readDdiClients(clientsFile, folder)
        const standing = device.createOfferGuard({ ...parts, clock }, { model, groups: group })
        const stock = await device.createStockClients(
          { slots, standing, clock, log },
          { folder, model, clients, confirm },
        )
        const pollS = Math.max(1, Math.round(poll / 1000))
        const listener = await listenDdi({ fleet: stock.fleet, log }, { ...serve, tls, pollS })
        const { url } = listener
        const tokenText =
          tokenFile === undefined ? 'with their tokens' : `with the TargetToken in ${tokenFile}`
        return {
          installer: stock.installer,
          ready: {
            json: { url, tenant: TENANT, tokenFile: tokenFile ?? null },
            text: `Serving hawkBit's DDI at ${url}, tenant ${TENANT}, to clients ${tokenText}. `,
          },
          onEvent(event) {
            if (event.name !== 'confirmed' && event.name !== 'up-to-date') return
            const { installed, phase } = parts.status()
            if (installed === null || phase.name !== 'idle') return
            // One plain image is enough: what it took the place of was kept to be compared with.
            const old = installed.slot === 'a' ? 'b' : 'a'
            slots.clear(old).catch((thrown: unknown) => {
              log.warn({ error: asError(thrown) }, 'the image before could not be removed')
            })
          },
          stop: () => listener.stop(),
        }
      },
    )
  },
})

/** Any would do; clients want one. */
const TENANT = 'default'
