import { AbiCoder } from 'ethers'
import { concat, fromHex, type Hex, toHex } from '@ioex/node/base'
import { keccak256 } from '@ioex/node/identity'
import type { RewardLeaf } from './types.ts'

/**
 * The tree whose root a vendor signs: OpenZeppelin's rules (leaves hashed twice, pairs sorted), a node without a
 * partner goes up as it is.
 */
export interface RewardTree {
  readonly root: Hex
  proof(index: number): readonly Hex[]
}

const LEAF_TYPES = ['address', 'uint256', 'uint256']

export function rewardTree(leaves: readonly RewardLeaf[]): RewardTree {
  const levels: Uint8Array[][] = [leaves.map(leafHash)]
  for (let level = levels[0] ?? []; level.length > 1; level = levels.at(-1) ?? []) {
    levels.push(levelAbove(level))
  }
  const [root] = levels.at(-1) ?? []
  return {
    root: root === undefined ? `0x${'00'.repeat(32)}` : toHex(root),
    proof(index) {
      const path: Hex[] = []
      for (const level of levels) {
        const partner = level[index ^ 1]
        if (partner !== undefined) path.push(toHex(partner))
        index >>= 1
      }
      return path
    },
  }
}

function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = []
  for (let at = 0; at < level.length; at += 2) {
    const left = level[at] as Uint8Array
    const right = level[at + 1]
    above.push(right === undefined ? left : pairHash(left, right))
  }
  return above
}

function leafHash(leaf: RewardLeaf): Uint8Array {
  const encoded = AbiCoder.defaultAbiCoder().encode(LEAF_TYPES, [
    leaf.server,
    leaf.cumulativeIoex,
    leaf.cumulativeGas18,
  ])
  return keccak256(keccak256(fromHex(encoded) ?? new Uint8Array()))
}

function pairHash(a: Uint8Array, b: Uint8Array): Uint8Array {
  return keccak256(Buffer.compare(a, b) < 0 ? concat([a, b]) : concat([b, a]))
}
