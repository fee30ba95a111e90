import { peerIdFromString } from '@libp2p/peer-id'
import { z } from 'zod'
import type { Friends } from '../friends/index.ts'
import type { ControlMethods } from './control.ts'
import { ExitCode } from './exit-codes.ts'
import { Failure, misuse } from './failure.ts'

const requestParams = z.object({
  contactAddress: z.string(),
  hello: z.string(),
  pairingCode: z.string().optional(),
  knockUrl: z.string().optional(),
})
const peerParams = z.object({ peerId: z.string() })

/** As `friend list --json` prints it. */
export const friendListSchema = z.object({
  friends: z.array(
    z.object({
      peerId: z.string(),
      name: z.string(),
      sinceMs: z.number(),
      multiaddrs: z.array(z.string()),
    }),
  ),
  requests: z.array(z.object({ peerId: z.string(), hello: z.string(), receivedMs: z.number() })),
})
export type FriendList = z.infer<typeof friendListSchema>

const REFUSALS: Readonly<Record<string, readonly [message: string, fix: string]>> = {
  'knock-unanswered': [
    'the other side did not answer',
    'Try again when it is running; add --knock-url if you know where it listens.',
  ],
  'knock-refused': [
    'the other side refused',
    'Ask its owner whether the address and the pairing code are right.',
  ],
  'address-outdated': ['this address is no longer valid', 'Ask its owner for the present one.'],
}

/** What the running node does for `ioex friend …`. */
export function friendMethods(friends: Friends): ControlMethods {
  return {
    'friend.list': () => Promise.resolve(listOf(friends)),
    'friend.request': async (params, signal) => {
      const { contactAddress, hello, pairingCode, knockUrl } = requestParams.parse(params)
      const outcome = await friends.request(contactAddress, {
        hello,
        signal,
        ...(pairingCode === undefined ? {} : { pairingCode }),
        ...(knockUrl === undefined ? {} : { knockUrl }),
      })
      if (outcome.ok) return { outcome: outcome.value }
      const [message, fix] = REFUSALS[outcome.reason] ?? [outcome.reason, 'Try again later.']
      const exitCode =
        outcome.reason === 'knock-unanswered' ? ExitCode.unreachable : ExitCode.failed
      throw new Failure(outcome.reason, message, { fix, exitCode })
    },
    'friend.accept': async (params) => {
      const peerId = peerOf(params)
      const outcome = await friends.accept(peerId)
      if (outcome.ok) return { peerId: peerId.toString(), name: outcome.value.name }
      throw new Failure('no-such-request', `${peerId.toString()} has not asked`, {
        fix: 'See who has:  ioex friend list',
      })
    },
    'friend.remove': async (params) => {
      const peerId = peerOf(params)
      const removed = (await friends.remove(peerId)) || friends.decline(peerId)
      return { peerId: peerId.toString(), removed }
    },
  }
}

function listOf(friends: Friends): FriendList {
  return {
    friends: friends.list().map(({ peerId, name, sinceMs, multiaddrs }) => ({
      peerId: peerId.toString(),
      name,
      sinceMs,
      multiaddrs: multiaddrs.map((address) => address.toString()),
    })),
    requests: friends.pending().map(({ peerId, hello, receivedMs }) => ({
      peerId: peerId.toString(),
      hello,
      receivedMs,
    })),
  }
}

function peerOf(params: unknown) {
  const { peerId } = peerParams.parse(params)
  try {
    return peerIdFromString(peerId)
  } catch (thrown) {
    throw misuse(
      'peer-id-invalid',
      `"${peerId.slice(0, 80)}" is no ID: ${String(thrown)}`,
      'Copy it from:  ioex friend list',
    )
  }
}
