/**
 * Who may talk to this node. Friends are made by pairing: one side has the other's contact address (ID +
 * nospam + checksum) and asks; the other accepts, or a pairing code that its owner has set accepts by itself.
 * Grant holders get in for as long as their grant lasts, infrastructure (the network file) always, nobody else.
 *
 * The *gate* is asked by `network` once the handshake has proven the PeerId: a stranger gets no identify
 * data, no DHT answer and no block. Since a refused connection cannot carry a request, there is the *knock*:
 * a message of at most 4 KiB over the HTTP listener of `network` (`POST /knock`) or over a bootstrap, which is
 * a grant or a pairing message, signed for this node and moment. It gets one answer (direct addresses on
 * success) or silence, and is limited per source.
 */
export { createFriends } from './create-friends.ts'
export { createGate } from './gate.ts'
export type {
  Admission,
  Friend,
  FriendErrorCode,
  FriendRequest,
  Friends,
  FriendsNeeds,
  FriendsOptions,
  Gate,
  GateNeeds,
  GateOptions,
  KnockRefusal,
} from './types.ts'
