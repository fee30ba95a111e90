import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makePhotos, owners, pushed } from '../testing/drive-helpers.ts'
import { createDriveRig } from '../testing/drive-rig.ts'

const rig = await createDriveRig()
after(() => rig.stop())

test('a restore that was cut off goes on where it stopped', async () => {
  const { owner } = await owners(rig, 1)
  const folder = await makePhotos(rig, 100)
  await pushed(owner, folder)
  await owner.stop()
  const fresh = await rig.person({ identity: owner.identity })
  const destination = await rig.folder('restored')
  const stop = new AbortController()
  const cut = fresh.drive.restore('latest', destination, {
    signal: stop.signal,
    onProgress: ({ files }) => {
      if (files === 40) stop.abort(new Error('enough'))
    },
  })
  await assert.rejects(cut, /enough/)
  const done = await fresh.drive.restore('latest', destination)
  assert.ok(done.ok)
  assert.ok(done.value.kept >= 40, `${done.value.kept} kept`)
  assert.ok(done.value.fetchedBytes < done.value.bytes, `${done.value.fetchedBytes} fetched`)
  assert.deepEqual(await readFile(join(destination, 'film')), await readFile(join(folder, 'film')))
  await rm(destination, { recursive: true })
})

test('a backup larger than the disk for blocks comes back', async () => {
  const { owner } = await owners(rig, 1)
  const folder = await rig.folder('films')
  for (let at = 0; at < 5; at++) await writeFile(join(folder, `${at}`), randomBytes(16_000_000))
  await pushed(owner, folder)
  await owner.stop()
  const fresh = await rig.person({ identity: owner.identity, quotaBytes: 64 * 1024 * 1024 })
  const destination = await rig.folder('restored')
  assert.ok((await fresh.drive.restore('latest', destination)).ok)
  assert.deepEqual(await readFile(join(destination, '4')), await readFile(join(folder, '4')))
})
