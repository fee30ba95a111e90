/** Attacks with true metadata: on the key, the grant, the sources and the blocks of a release. */
import { wrapReleaseKey } from '@ioex/node/firmware'
import { createIdentity } from '@ioex/node/identity'
import { type Attack, EVIL, HONEST, type Scene } from './scene.ts'

const NONE = 'nothing'
const stranger = createIdentity(new Uint8Array(32).fill(77))

async function publish({ fleet }: Scene, version = '2.0.0') {
  const { root } = await fleet.publish(EVIL, version)
  const release = fleet.gateway.releases.get(root)
  if (release === undefined) throw new Error('it is not published')
  return release
}

/** The gateway hands out these bytes as the key of the release. */
async function giveKey(scene: Scene, wrapOf: (recipient: string) => Promise<Uint8Array>) {
  const release = await publish(scene)
  const wrap = await wrapOf(scene.device.node.identity.ageRecipient)
  scene.fleet.gateway.releases.set(release.root, { ...release, wrap })
}

export const contentAttacks: readonly Attack[] = [
  {
    name: 'wrong key: one that does not belong to the release',
    holds: NONE,
    mount: (scene) =>
      giveKey(scene, (recipient) => wrapReleaseKey(new Uint8Array(32).fill(9), [recipient])),
    verdict: { outcome: 'waiting', reason: 'release-key-wrong' },
  },
  {
    name: 'wrong device: the key as it was wrapped for others',
    holds: NONE,
    mount: (scene) =>
      giveKey(scene, () => wrapReleaseKey(new Uint8Array(32).fill(9), [stranger.ageRecipient])),
    verdict: { outcome: 'waiting', reason: 'release-key-wrong' },
  },
  {
    name: 'garbage in the place of the key',
    holds: NONE,
    mount: (scene) => giveKey(scene, () => Promise.resolve(HONEST.subarray(0, 4096))),
    verdict: { outcome: 'waiting', reason: 'release-key-wrong' },
  },
  {
    name: 'no key at all',
    holds: NONE,
    async mount(scene) {
      const { root } = await publish(scene)
      const path = `/v1/devices/me/releases/${root}/key`
      scene.fleet.gateway.lies.set(path, () => new Response(null, { status: 404 }))
    },
    verdict: { outcome: 'waiting', reason: 'no-release-key' },
  },
  {
    name: 'replayed grant: that of the release before',
    holds: NONE,
    async mount(scene) {
      const { fleet } = scene
      const [old] = fleet.gateway.releases.values()
      const next = await publish(scene)
      if (old === undefined) throw new Error('there is no release before')
      // Everything of the new release but what the grant is signed over.
      fleet.gateway.releases.set(next.root, { ...next, digest: old.digest })
    },
    verdict: { outcome: 'waiting', reason: 'no-source' },
  },
  {
    name: 'sources that have nothing of the release',
    holds: 'the address list',
    async mount(scene) {
      const { fleet } = scene
      await publish(scene)
      const away = await fleet.seed()
      fleet.gateway.sources.splice(0, fleet.gateway.sources.length, away.source)
    },
    verdict: { outcome: 'waiting', reason: 'no-source' },
  },
  {
    name: 'an answer of the gateway that is not one',
    holds: NONE,
    async mount(scene) {
      await publish(scene)
      scene.fleet.gateway.lies.set('/v1/devices/me/grants', () => Response.json({ grant: 'yes' }))
    },
    verdict: { outcome: 'waiting', reason: 'gateway-refused' },
  },
]
