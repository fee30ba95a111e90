import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makePhotos, owners, pushed } from '../testing/drive-helpers.ts'
import { createDriveRig, type DrivePerson } from '../testing/drive-rig.ts'

const rig = await createDriveRig()
after(() => rig.stop())

test('a check finds the peer that lost blocks and the one that is away', async () => {
  const { owner, friends } = await owners(rig, 3)
  const [good, bad, away] = friends
  assert.ok(good !== undefined && bad !== undefined && away !== undefined)
  const { snapshot } = await pushed(owner, await makePhotos(rig, 20))
  await bad.node.storage.pins.remove(snapshot.root, `friend:${owner.identity.peerId.toString()}`)
  await away.stop()
  const check = async (person: DrivePerson) => {
    const checked = await person.drive.check({ share: 0.5 })
    assert.ok(checked.ok)
    return new Map(checked.value.peers.map((peer) => [peer.peerId, peer]))
  }
  const of = (person: DrivePerson) => person.identity.peerId.toString()
  const report = await check(owner)
  assert.equal(report.get(of(good))?.damagedOrMissing, 0)
  assert.ok((report.get(of(good))?.sampledBlocks ?? 0) > 10)
  assert.equal(report.get(of(bad))?.damagedOrMissing, report.get(of(bad))?.sampledBlocks)
  assert.deepEqual(
    [report.get(of(away))?.reachable, report.get(of(away))?.damagedOrMissing],
    [false, 0],
  )
  await owner.stop()
  const fresh = await check(await rig.person({ identity: owner.identity }))
  assert.equal(fresh.get(of(good))?.damagedOrMissing, 0)
  assert.ok((fresh.get(of(bad))?.damagedOrMissing ?? 0) > 3)
})

test('a prune frees blocks at the peers, at those that were away once they are back', async () => {
  const { owner, friends } = await owners(rig, 2)
  const [near, away] = friends
  assert.ok(near !== undefined && away !== undefined)
  const folder = await makePhotos(rig, 3)
  const first = await pushed(owner, folder)
  await writeFile(join(folder, 'film'), randomBytes(2_000_000))
  const second = await pushed(owner, folder)
  await away.stop()
  const pruned = await owner.drive.prune(1)
  assert.ok(pruned.ok)
  assert.deepEqual(
    pruned.value.removed.map(({ id }) => id),
    [first.snapshot.id],
  )
  assert.equal(pruned.value.pending, 2)
  const freed = async (person: DrivePerson) => {
    assert.equal(await person.node.storage.pins.get(first.snapshot.root), undefined)
    assert.ok((await person.node.storage.pins.get(second.snapshot.root)) !== undefined)
    return (await person.node.storage.collectGarbage()).freedBytes
  }
  assert.ok((await freed(near)) > 2_900_000)
  const back = await rig.person({ identity: away.identity, home: away.home })
  rig.befriend(owner, back)
  const later = await owner.drive.prune(1)
  assert.ok(later.ok)
  assert.deepEqual(later.value, { removed: [], pending: 0 })
  assert.ok((await freed(back)) > 2_900_000)
})
