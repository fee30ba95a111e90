import { defineCommand } from '../command.ts'
import { callControl } from '../control.ts'
import { Failure } from '../failure.ts'
import { homeFolder, homeOption } from '../home.ts'
import { argument } from '../options.ts'

export const command = defineCommand({
  about: 'End a friendship, or decline a request; live connections close within a second.',
  examples: ['ioex friend remove 16Uiu2HAm…'],
  options: { home: homeOption },
  args: { peerId: argument('ID', 'as ioex friend list prints it') },
  next: 'ioex friend list',
  async run({ options, args, say, system, signal }) {
    const home = homeFolder(options.home, system.env)
    const result = await callControl(home, 'friend.remove', args, signal)
    const { peerId, removed } = result as { readonly peerId: string; readonly removed: boolean }
    if (!removed) {
      throw new Failure('no-such-friend', `${peerId} is no friend and has not asked`, {
        fix: 'See who is:  ioex friend list',
      })
    }
    say.result({ json: { peerId }, text: `${peerId} is no friend any more.`, id: peerId })
    return undefined
  },
})
