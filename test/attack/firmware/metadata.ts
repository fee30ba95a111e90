/** Attacks on what the device is told of releases: the list of the TUF specification (1.5.2), and ours. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTufSigner, lineRole, rotateRoot } from '@ioex/node/firmware'
import {
  createFakeVendor,
  forge,
  MODEL,
  nameInSnapshot,
  newestFile,
  type SignedPart,
  tamper,
} from '@ioex/node/testing/devices'
import { systemClock, utf8 } from './parts.ts'
import { type Attack, EVIL, HONEST, type Scene } from './scene.ts'

const NONE = 'nothing'
const ONLINE = 'the keys of snapshot and timestamp: a stolen gateway'
const LINE = lineRole(MODEL)
const YEAR_MS = 365 * 86_400_000
const mallory = createTufSigner(new Uint8Array(32).fill(66))

const refusedAs = (refusal: string) => ({
  outcome: 'waiting' as const,
  reason: 'metadata-refused',
  refusal,
})

function fileOf({ fleet }: Scene, name: string): Uint8Array {
  return fleet.vendor.repository.get(name) ?? utf8('')
}

/** The line with what the attacker wants, properly named by snapshot and timestamp. */
function serveLine(scene: Scene, line = fileOf(scene, newestFile(scene.fleet.vendor, LINE))) {
  const { vendor } = scene.fleet
  vendor.serve({ ...vendor.metadata, lines: { ...vendor.metadata.lines, [LINE]: line } })
}

const rotation = ({ fleet }: Scene, keep: 'old' | 'new') => {
  const { vendor } = fleet
  const { root, targets } = vendor.signers
  const online =
    keep === 'old' ? vendor.signers.online : createTufSigner(new Uint8Array(32).fill(5))
  const roles = { ...vendor.roles, online: { keys: [online], threshold: 1 } }
  const time = { nowMs: systemClock.nowMs() }
  return rotateRoot(vendor.metadata, roles, { root: [root], targets: [targets] }, time)
}

/** A body of which nothing comes; it ends as a connection does whose reader has left. */
function silentUntil(signal: AbortSignal | null | undefined): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      signal?.addEventListener('abort', () => controller.error(signal.reason))
    },
  })
}

export const metadataAttacks: readonly Attack[] = [
  {
    name: 'arbitrary software: metadata of keys of its own',
    holds: NONE,
    async mount({ fleet }) {
      const thief = createFakeVendor({ clock: systemClock }, { name: 'thief' })
      for (const version of ['9.9.8', '9.9.9']) await thief.publish(EVIL, { model: MODEL, version })
      for (const [name, bytes] of thief.repository) fleet.vendor.repository.set(name, bytes)
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'arbitrary software: a signed file that was changed',
    holds: NONE,
    async mount({ fleet }) {
      await fleet.publish(EVIL, '2.0.0')
      tamper(fleet.vendor, newestFile(fleet.vendor, LINE), (signed) => {
        signed['expires'] = '2099-01-01T00:00:00Z'
      })
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'rollback: the timestamp of before',
    holds: NONE,
    async mount(scene) {
      const { fleet, device } = scene
      const old = fileOf(scene, 'timestamp.json')
      fleet.vendor.serve(fleet.vendor.metadata)
      await device.agent.update()
      fleet.vendor.repository.set('timestamp.json', old)
    },
    verdict: refusedAs('metadata-rolled-back'),
  },
  {
    name: 'rollback: one file of before under a new snapshot',
    holds: ONLINE,
    async mount(scene) {
      const { fleet, device } = scene
      const old = fileOf(scene, newestFile(fleet.vendor, LINE))
      forge(fleet.vendor, newestFile(fleet.vendor, LINE), [fleet.vendor.signers.line], (signed) => {
        signed['version'] = Number(signed['version']) + 1
      })
      serveLine(scene)
      await device.agent.update()
      serveLine(scene, old)
    },
    verdict: refusedAs('metadata-rolled-back'),
  },
  {
    name: 'fast-forward: versions so high that honest ones look old',
    holds: ONLINE,
    async mount({ fleet, device }) {
      forge(fleet.vendor, 'timestamp.json', [fleet.vendor.signers.online], (signed) => {
        signed['version'] = 2 ** 40
      })
      await device.agent.update()
      fleet.vendor.serve(fleet.vendor.metadata)
    },
    verdict: refusedAs('metadata-rolled-back'),
  },
  {
    name: 'freeze: nothing new is let through until what there is expires',
    holds: NONE,
    mount({ clock }) {
      clock.shiftMs = 30 * 86_400_000
    },
    verdict: refusedAs('metadata-expired'),
  },
  {
    name: 'freeze: a timestamp that is renewed for ever over an old snapshot',
    holds: ONLINE,
    mount({ fleet, clock }) {
      clock.shiftMs = 30 * 86_400_000
      forge(fleet.vendor, 'timestamp.json', [fleet.vendor.signers.online], (signed) => {
        signed['version'] = Number(signed['version']) + 1
        signed['expires'] = '2036-01-01T00:00:00Z'
      })
    },
    verdict: refusedAs('metadata-expired'),
  },
  {
    name: 'mix and match: files of different moments',
    holds: NONE,
    async mount(scene) {
      const { fleet } = scene
      const old = fileOf(scene, newestFile(fleet.vendor, LINE))
      await fleet.publish(EVIL, '2.0.0')
      fleet.vendor.repository.set(newestFile(fleet.vendor, LINE), old)
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'endless data in the place of metadata',
    holds: NONE,
    mount({ fleet }) {
      fleet.vendor.repository.set('timestamp.json', new Uint8Array(3_000_000))
    },
    verdict: refusedAs('metadata-too-large'),
  },
  {
    name: 'slow retrieval: an answer that never ends',
    holds: NONE,
    mount({ fleet, clock }) {
      clock.hurry = 100
      const path = `/tuf/${fleet.vendor.address}/metadata/timestamp.json`
      fleet.gateway.lies.set(path, ({ signal }) => new Response(silentUntil(signal)))
    },
    verdict: { outcome: 'waiting', reason: 'gateway-unreachable' },
  },
  {
    name: 'wrong software: the line of another product names a release of this one',
    holds: 'the key of another product line',
    async mount({ fleet }) {
      await fleet.vendor.publish(EVIL, { model: 'lamp', version: '6.6.6' })
      const lamp = newestFile(fleet.vendor, lineRole('lamp'))
      forge(fleet.vendor, lamp, [fleet.vendor.signers.line], (signed) => {
        const [entry] = Object.values(signed['targets'] as SignedPart) as SignedPart[]
        const custom = { ...(entry?.['custom'] as SignedPart), model: MODEL, sequence: 99 }
        signed['version'] = Number(signed['version']) + 1
        signed['targets'] = { [`${MODEL}/6.6.6`]: { ...entry, custom } }
      })
      const bytes = fleet.vendor.repository.get(lamp) ?? utf8('')
      const lines = { ...fleet.vendor.metadata.lines, [lineRole('lamp')]: bytes }
      fleet.vendor.serve({ ...fleet.vendor.metadata, lines })
    },
    verdict: { outcome: 'up-to-date' },
  },
  {
    name: 'wrong software: a target whose hash is that of another block',
    holds: 'the key of the product line, but no image',
    mount(scene) {
      const { vendor } = scene.fleet
      forge(vendor, newestFile(vendor, LINE), [vendor.signers.line], (signed) => {
        const [entry] = Object.values(signed['targets'] as SignedPart) as SignedPart[]
        const custom = { ...(entry?.['custom'] as SignedPart), version: '6.6.6', sequence: 99 }
        signed['version'] = Number(signed['version']) + 1
        signed['targets'] = {
          ...(signed['targets'] as SignedPart),
          [`${MODEL}/6.6.6`]: { ...entry, hashes: { sha256: '00'.repeat(32) }, custom },
        }
      })
      serveLine(scene)
    },
    verdict: { outcome: 'up-to-date' },
  },
  {
    name: 'key compromise below the threshold: one of two root keys',
    holds: 'one of the two root keys',
    async mount(scene) {
      const { fleet, device } = scene
      const { vendor } = fleet
      const { root, targets } = vendor.signers
      const roles = { ...vendor.roles, root: { keys: [root, mallory], threshold: 2 } }
      const signers = { root: [root, mallory], targets: [targets] }
      const time = { nowMs: systemClock.nowMs() }
      vendor.serve(rotateRoot(vendor.metadata, roles, signers, time))
      await device.agent.update()
      const next = rotateRoot(vendor.metadata, roles, signers, time)
      vendor.repository.set('3.root.json', next.root)
      forge(vendor, '3.root.json', [mallory], () => undefined)
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'missing delegation: the file of the product line is withheld',
    holds: NONE,
    async mount({ fleet }) {
      await fleet.publish(EVIL, '2.0.0')
      fleet.vendor.repository.delete(newestFile(fleet.vendor, LINE))
    },
    verdict: refusedAs('metadata-missing'),
  },
  {
    name: 'tampered delegation: the line is given to another key',
    holds: NONE,
    async mount(scene) {
      const { vendor } = scene.fleet
      await vendor.publish(EVIL, { model: 'lamp', version: '1.0.0' })
      tamper(vendor, newestFile(vendor, 'targets'), (signed) => {
        const delegations = signed['delegations'] as SignedPart
        const roles = delegations['roles'] as SignedPart[]
        signed['delegations'] = {
          ...delegations,
          roles: roles.map((role) => ({ ...role, keyids: [mallory.keyId] })),
        }
      })
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'stolen gateway: a release signed with the online key',
    holds: ONLINE,
    mount({ fleet }) {
      const { vendor } = fleet
      const name = newestFile(vendor, LINE)
      forge(vendor, name, [vendor.signers.online], (signed) => {
        signed['version'] = Number(signed['version']) + 1
      })
      nameInSnapshot(vendor, LINE, vendor.repository.get(name) ?? utf8(''))
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'leaked key: one that the vendor has revoked since',
    holds: 'the online key of before',
    async mount(scene) {
      const { fleet, device } = scene
      const { vendor } = fleet
      vendor.repository.set('2.root.json', rotation(scene, 'new').root)
      await device.agent.update()
      forge(vendor, 'timestamp.json', [vendor.signers.online], (signed) => {
        signed['version'] = Number(signed['version']) + 1
      })
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'truncated root chain: the newest root is hidden',
    holds: NONE,
    mount(scene) {
      const { vendor } = scene.fleet
      const online = createTufSigner(new Uint8Array(32).fill(5))
      forge(vendor, 'timestamp.json', [online], (signed) => {
        signed['version'] = Number(signed['version']) + 1
      })
    },
    verdict: refusedAs('metadata-untrusted'),
  },
  {
    name: 'skipped root: the second next in the place of the next',
    holds: NONE,
    mount(scene) {
      const { vendor } = scene.fleet
      const { root, targets } = vendor.signers
      const second = rotation(scene, 'old')
      const signers = { root: [root], targets: [targets] }
      const third = rotateRoot(second, vendor.roles, signers, { nowMs: systemClock.nowMs() })
      vendor.repository.set('2.root.json', third.root)
    },
    verdict: refusedAs('metadata-rolled-back'),
  },
  {
    name: 'equivocation: another history than the one shown before',
    holds: ONLINE,
    async mount({ fleet, device }) {
      const fork = new Map(fleet.vendor.repository)
      fleet.vendor.serve(fleet.vendor.metadata)
      await device.agent.update()
      fleet.vendor.repository.clear()
      for (const [name, bytes] of fork) fleet.vendor.repository.set(name, bytes)
    },
    verdict: refusedAs('metadata-rolled-back'),
  },
  {
    name: 'clock set forward by ten years',
    holds: 'the time server',
    mount({ clock }) {
      clock.shiftMs = 10 * YEAR_MS
    },
    verdict: refusedAs('metadata-expired'),
  },
  {
    name: 'clock set back by ten years, and metadata of before',
    holds: 'the time server',
    async mount(scene) {
      const { fleet, device, clock } = scene
      const old = fileOf(scene, 'timestamp.json')
      fleet.vendor.serve(fleet.vendor.metadata)
      await device.agent.update()
      fleet.vendor.repository.set('timestamp.json', old)
      clock.shiftMs = -10 * YEAR_MS
    },
    verdict: refusedAs('metadata-rolled-back'),
  },
  {
    name: 'torn metadata: what the device trusted is garbage on its disk',
    holds: 'one write to the disk of the device',
    async mount({ fleet }) {
      const home = join(fleet.folder, 'device')
      const [name = ''] = (await readdir(home)).filter((each) =>
        each.startsWith('trusted-metadata'),
      )
      await writeFile(join(home, name), HONEST.subarray(0, 1000))
    },
    verdict: { outcome: 'up-to-date' },
  },
]
