import assert from 'node:assert/strict'
import { appendFile, chmod, lstat, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { codeOf } from '../base/index.ts'
import { makePhotos, owners, pushed } from '../testing/drive-helpers.ts'
import { createDriveRig } from '../testing/drive-rig.ts'

const rig = await createDriveRig()
after(() => rig.stop())

test('an unchanged folder costs a root, one changed file little more, and both come back', async () => {
  const { owner, friends } = await owners(rig, 2)
  const folder = await makePhotos(rig)
  const first = await pushed(owner, folder)
  assert.equal(first.snapshot.files, 301)
  assert.ok(first.newBytes >= first.snapshot.bytes)
  assert.deepEqual([first.enough, first.findable, first.omittedCount], [true, true, 0])
  const again = await pushed(owner, folder)
  assert.ok(again.newBytes < 1_000, `${again.newBytes} bytes`)
  await appendFile(join(folder, 'a', 'photo 7'), 'one more line')
  const changed = await pushed(owner, folder)
  assert.ok(changed.newBytes < first.snapshot.bytes / 5, `${changed.newBytes} bytes`)

  await owner.stop()
  await friends[0]?.stop()
  const fresh = await rig.person({ identity: owner.identity })
  const listed = await fresh.drive.list()
  assert.ok(listed.ok)
  assert.deepEqual(
    listed.value.map(({ id }) => id),
    [changed, again, first].map(({ snapshot }) => snapshot.id),
  )
  const destination = join(await rig.folder('restored'), 'deep', 'er')
  const restored = await fresh.drive.restore(first.snapshot.id, destination)
  assert.ok(restored.ok)
  const before = (await readFile(join(folder, 'a', 'photo 7'))).subarray(0, 4_000)
  assert.deepEqual(await readFile(join(destination, 'a', 'photo 7')), before)
  assert.deepEqual(await readFile(join(destination, 'film')), await readFile(join(folder, 'film')))
  const over = await fresh.drive.restore('latest', destination).catch((thrown: unknown) => thrown)
  assert.equal(codeOf(over), 'destination-occupied')
})

test('two pushes at once lose neither snapshot', async () => {
  const { owner } = await owners(rig, 1)
  const [one, two] = [await makePhotos(rig, 3), await makePhotos(rig, 3)]
  const both = await Promise.all([pushed(owner, one), pushed(owner, two), pushed(owner, one)])
  const listed = await owner.drive.list()
  assert.ok(listed.ok)
  assert.deepEqual(
    listed.value.map(({ id }) => id).sort(),
    both.map(({ snapshot }) => snapshot.id).sort(),
  )
})

test('what cannot be read is left out and told, the rest is stored', async () => {
  const { owner } = await owners(rig, 1)
  const folder = await makePhotos(rig, 3)
  await symlink('/etc/passwd', join(folder, 'link'))
  await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), 'x')
  await writeFile(join(folder, 'locked'), 'secret')
  await chmod(join(folder, 'locked'), 0)
  // A file that grows while it is read: each report of progress adds to it.
  const film = join(folder, 'film')
  const outcome = await owner.drive.push(folder, {
    onProgress: ({ phase }) => {
      if (phase === 'reading') growing.push(appendFile(film, 'more'))
    },
  })
  await Promise.all(growing)
  assert.ok(outcome.ok)
  const reasons = new Map(outcome.value.omitted.map(({ path, reason }) => [path, reason]))
  assert.equal(reasons.get('\u00ff\u00fe'), 'name-not-utf8')
  assert.equal(reasons.get('film'), 'changed-while-reading')
  // The superuser reads everything.
  if (process.getuid?.() !== 0) assert.equal(reasons.get('locked'), 'unreadable')
  assert.equal(outcome.value.omittedCount, reasons.size)
  const destination = await rig.folder('restored')
  assert.ok((await owner.drive.restore('latest', destination)).ok)
  assert.ok((await lstat(join(destination, 'link'))).isSymbolicLink())
  await assert.rejects(lstat(join(destination, 'film')))
})
const growing: Promise<void>[] = []

test('a friend who was removed stays removed, and is asked for nothing', async () => {
  const { owner, friends } = await owners(rig, 2)
  const folder = await makePhotos(rig, 2)
  await pushed(owner, folder)
  const [gone] = friends
  assert.ok(gone !== undefined)
  await owner.node.friends.remove(gone.identity.peerId)
  assert.ok((await owner.drive.list()).ok)
  const next = await pushed(owner, folder)
  assert.equal(next.peers.length, 1)
  assert.equal(owner.node.friends.list().length, 1)
})

test('without friends nothing is read, and an unknown snapshot is said to be one', async () => {
  const { owner } = await owners(rig, 0)
  assert.deepEqual(await owner.drive.push('/nowhere'), { ok: false, reason: 'no-peers' })
  const { owner: other } = await owners(rig, 1)
  assert.deepEqual(await other.drive.list(), { ok: false, reason: 'drive-not-found' })
  assert.equal(
    codeOf(await other.drive.push('/nowhere').catch((thrown: unknown) => thrown)),
    'folder-missing',
  )
  await pushed(other, await makePhotos(rig, 1))
  assert.deepEqual(await other.drive.restore('bafyrei', '/nowhere'), {
    ok: false,
    reason: 'snapshot-unknown',
  })
})
