import { defineCommand } from '../command.ts'
import { callControl } from '../control.ts'
import { homeFolder, homeOption } from '../home.ts'
import { argument } from '../options.ts'
import { printable } from '../say.ts'

export const command = defineCommand({
  about: 'Accept somebody who has asked for friendship.',
  examples: ['ioex friend accept 16Uiu2HAm…'],
  options: { home: homeOption },
  args: { peerId: argument('ID', 'as ioex friend list prints it') },
  next: 'ioex friend list',
  async run({ options, args, say, system, signal }) {
    const home = homeFolder(options.home, system.env)
    const result = await callControl(home, 'friend.accept', args, signal)
    const { peerId, name } = result as { readonly peerId: string; readonly name: string }
    say.result({
      json: { peerId, name },
      text: `${printable(name)} is a friend now (${peerId}).`,
      id: peerId,
    })
    return undefined
  },
})
