import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { Random } from '../base/index.ts'
import type { Storage } from '../storage/index.ts'
import {
  POSSESSION_CHECKED_FIRST,
  POSSESSION_CHECKED_ONE_IN,
  POSSESSION_MAX_ROOTS,
} from './limits.ts'
import { friendOwner } from './shares.ts'

/**
 * A friend who asks us to keep a tree may fetch it from us later. So blocks that are here for somebody else
 * are not simply counted as his: he has to send some of them, chosen at random, and knowing their CIDs is not
 * enough. Blocks of his own roots are taken from the disk, which is what makes a second snapshot cheap.
 */
export function createPossessionCheck(
  needs: { readonly storage: Pick<Storage, 'pins'>; readonly random: Random },
  friend: PeerId,
): (cid: CID) => Promise<boolean> {
  const { storage, random } = needs
  const { pins } = storage
  let checked = 0
  let roots: Promise<CID[]> | undefined

  const ownRoots = async (): Promise<CID[]> => {
    const owner = friendOwner(friend)
    const own: CID[] = []
    for await (const pin of pins.list()) {
      if (pin.owners.some((each) => each.owner === owner)) own.push(pin.root)
    }
    // The newest are the most alike; the list has no order of time, so any of them will do.
    return own.slice(-POSSESSION_MAX_ROOTS)
  }
  return async (cid) => {
    roots ??= ownRoots()
    for (const root of await roots) if (await pins.contains(root, cid)) return true
    if (checked++ < POSSESSION_CHECKED_FIRST) return false
    return random.int(POSSESSION_CHECKED_ONE_IN) !== 0
  }
}
