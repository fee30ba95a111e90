import { hostname } from 'node:os'
import { decodeContactAddress } from '../../identity/index.ts'
import { defineCommand } from '../command.ts'
import { callControl } from '../control.ts'
import { homeFolder, homeOption } from '../home.ts'
import { argument, httpUrl, readSecret, text, value, withDefault } from '../options.ts'

export const command = defineCommand({
  about: 'Ask the owner of an address for friendship; with a pairing code it is made at once.',
  examples: [
    'ioex friend request 2wPxAq… --hello "Anna here"',
    'ioex friend request 2wPxAq… --pairing-code-file code.txt --knock-url http://192.0.2.7:4180/knock',
  ],
  options: {
    home: homeOption,
    hello: withDefault(text('--hello TEXT', 'what the other side reads'), hostname()),
    pairingCodeFile: text(
      '--pairing-code-file FILE',
      'file with the code that the other side has set, - for standard input (or IOEX_PAIRING_CODE)',
    ),
    knockUrl: value('--knock-url URL', 'where the other side listens for knocks', httpUrl),
  },
  args: { contactAddress: argument('ADDRESS', 'as ioex friend address prints it') },
  next: 'ioex friend list',
  async run({ options, args, say, system, signal }) {
    const { contactAddress } = args
    const peerId = decodeContactAddress(contactAddress).peerId.toString()
    const pairingCode = await readSecret(
      { file: options.pairingCodeFile, env: system.env.IOEX_PAIRING_CODE },
      system.stdin,
    )
    const { hello, knockUrl } = options
    const params = { contactAddress, hello, pairingCode, knockUrl }
    const home = homeFolder(options.home, system.env)
    const result = await callControl(home, 'friend.request', params, signal)
    const { outcome } = result as { readonly outcome: 'asked' | 'befriended' }
    say.result({
      json: { peerId, outcome },
      text:
        outcome === 'befriended'
          ? `${peerId} is a friend now.`
          : `Asked. ${peerId} becomes a friend once its owner accepts.`,
      id: peerId,
    })
    return undefined
  },
})
