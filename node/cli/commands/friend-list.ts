import { defineCommand } from '../command.ts'
import { callControl } from '../control.ts'
import { formatDuration, formatTable } from '../format.ts'
import { type FriendList, friendListSchema } from '../friend-methods.ts'
import { homeFolder, homeOption } from '../home.ts'
import { printable } from '../say.ts'

export const command = defineCommand({
  about: 'List the friends of the node that runs here, and who has asked to become one.',
  examples: ['ioex friend list', 'ioex friend list --json'],
  options: { home: homeOption },
  next: 'ioex friend accept ID',
  async run({ options, say, system, signal }) {
    const home = homeFolder(options.home, system.env)
    const list = friendListSchema.parse(await callControl(home, 'friend.list', {}, signal))
    say.result({
      json: list,
      text: textOf(list, system.clock.nowMs()),
      id: list.friends.map(({ peerId }) => peerId).join('\n'),
    })
    return undefined
  },
})

function textOf({ friends, requests }: FriendList, nowMs: number): string {
  if (friends.length + requests.length === 0) return 'No friends yet, and nobody has asked.'
  return formatTable([
    ...friends.map(({ peerId, name, sinceMs }) => [
      'friend',
      printable(name),
      peerId,
      `for ${formatDuration(nowMs - sinceMs)}`,
    ]),
    ...requests.map(({ peerId, hello, receivedMs }) => [
      'asks',
      printable(hello),
      peerId,
      `${formatDuration(nowMs - receivedMs)} ago`,
    ]),
  ])
}
