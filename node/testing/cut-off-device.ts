import { join } from 'node:path'
import { createGatewayClient } from '../api/index.ts'
import { systemClock, systemRandom } from '../base/index.ts'
import { enrollDevice } from '../device/index.ts'
import { wrapReleaseKey } from '../firmware/index.ts'
import { createIdentity, createKeystore, generateSeed } from '../identity/index.ts'
import { DOMAIN } from './exchange-rig.ts'
import { createFakeGateway } from './fake-gateway.ts'
import { createFakeVendor } from './fake-vendor.ts'
import { emptyNetworkFile } from './local-network.ts'
import { writeReleaseCar } from './release-car.ts'

const MODEL = 'pump-s3'
const CODE = '7F3K-92QD'

/** The home of a device that was enrolled once and has no network since, and its vendor, who makes files for it. */
export interface CutOffDevice {
  readonly home: string
  /** Resolves to the path of a file with this image as the newest release. */
  carOf(image: Uint8Array, version: string): Promise<string>
}

/** Both in `folder`, for the command line as a process of its own. */
export async function createCutOffDevice(folder: string): Promise<CutOffDevice> {
  const clock = systemClock
  const home = join(folder, 'home')
  const vendor = createFakeVendor({ clock }, { name: 'stick' })
  const signer = createIdentity(generateSeed(systemRandom))
  const networkFile = emptyNetworkFile()
  const gateway = createFakeGateway({ clock, vendor, signer, domain: DOMAIN, networkFile })
  gateway.codes.set(CODE, MODEL)
  const { identity } = await createKeystore(join(home, 'keystore.json'), {
    seed: generateSeed(systemRandom),
    passphrase: undefined,
  })
  const api = createGatewayClient({ clock, fetch: gateway.fetch }, { gateway: gateway.url })
  await enrollDevice(
    { identity, api, clock },
    { folder: join(home, 'device'), gateway: gateway.url, code: CODE },
  )
  return {
    home,
    async carOf(image, version) {
      const { packed } = await vendor.publish(image, { model: MODEL, version })
      const wraps = [await wrapReleaseKey(packed.releaseKey, [identity.ageRecipient])]
      const path = join(folder, `${version}.car`)
      await writeReleaseCar(path, vendor, { root: packed.root, wraps })
      return path
    },
  }
}
