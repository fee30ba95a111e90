/**
 * Parts for tests, kept as products: they are used by the tests of several rooms and are tested themselves.
 *
 * The *memory network* gives nodes that open framed streams to one another with the same promises as the
 * real network (bounded buffers, frames, `unreachable` and `refused`), plus delay, bandwidth and faults.
 * The *local network* is the real thing in one process: bootstraps and nodes on 127.0.0.1.
 */
export {
  createMemoryNetwork,
  type MemoryLink,
  type MemoryNetwork,
  type MemoryNode,
} from './memory-network.ts'
export {
  emptyNetworkFile,
  type JoinOptions,
  type LocalNetwork,
  startLocalNetwork,
} from './local-network.ts'
export { createMemoryRecords } from './memory-records.ts'
export { joinPerson, type LocalPerson, type PersonOptions } from './local-person.ts'
export { blockOf, makeTree, type Tree } from './trees.ts'
export { EXCHANGE_WIRE, readRequest, type WireRequest, wire } from './exchange-wire.ts'
export { type CutOffDevice, createCutOffDevice } from './cut-off-device.ts'
export { seededRandom } from './seeded-random.ts'
