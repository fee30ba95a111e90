import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import type { PushReport } from '../drive/index.ts'
import type { DrivePerson, DriveRig } from './drive-rig.ts'

/** Somebody with this many friends who keep backups. */
export async function owners(rig: DriveRig, friendCount: number) {
  const owner = await rig.person()
  const friends: DrivePerson[] = []
  for (let at = 0; at < friendCount; at++) {
    const friend = await rig.person()
    rig.befriend(owner, friend)
    friends.push(friend)
  }
  return { owner, friends }
}

/** Files of 4,000 bytes and one of 3 MB; none of it shrinks. */
export async function makePhotos(rig: DriveRig, files = 300) {
  const folder = await rig.folder('photos')
  await mkdir(join(folder, 'a'))
  for (let at = 0; at < files; at++) {
    await writeFile(join(folder, 'a', `photo ${at}`), randomBytes(4_000))
  }
  await writeFile(join(folder, 'film'), randomBytes(3_000_000))
  return folder
}

export async function pushed(person: DrivePerson, folder: string): Promise<PushReport> {
  const outcome = await person.drive.push(folder)
  assert.ok(outcome.ok, JSON.stringify(outcome))
  return outcome.value
}
