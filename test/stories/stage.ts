import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EnrollmentCreatedSchema } from '@ioex/node/api'
import {
  type DemoDevice,
  keepVendor,
  type LocalNetwork,
  type LocalVendor,
  requestJson,
  startDevice,
  startLocalNetwork,
} from '@ioex/gateway/localnet'

/** `small` in a pipeline, `full` with the largest images, else in between. */
export const shape = process.env.IOEX_SHAPE ?? 'normal'
export const MIB = 1024 * 1024

export interface Stage {
  readonly folder: string
  readonly network: LocalNetwork
  readonly vendor: LocalVendor
  /** A device of that model, enrolled and listening. */
  device(name: string, model: string): Promise<DemoDevice>
  /** An enrolment code for one device. */
  code(model: string): Promise<string>
  close(): Promise<void>
}

/** A network of real processes below a folder of its own; `close` ends every one of them. */
export async function openStage(options: { readonly seeds: number }): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-story-'))
  const devices: DemoDevice[] = []
  const network = await startLocalNetwork({
    folder,
    bootstraps: 2,
    seeds: options.seeds,
    epochEveryMs: 3_600_000,
    onStep: () => undefined,
  })
  const vendor = await keepVendor(folder, network)
  const code = async (model: string) => {
    const made = await requestJson<(typeof EnrollmentCreatedSchema)['_output']>(
      `${network.gatewayUrl}/v1/enrollments`,
      { method: 'POST', token: vendor.token, json: { model, count: 1 } },
    )
    return made.code
  }
  return {
    folder,
    network,
    vendor,
    code,
    async device(name, model) {
      const { gatewayUrl } = network
      const device = await startDevice({ folder, name, gatewayUrl, code: await code(model) })
      devices.push(device)
      return device
    },
    async close() {
      await Promise.all(devices.map((device) => device.process.stop()))
      await network.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Bytes that zstd makes about half as large, like firmware: blocks of noise and of repetition in turn. */
export function firmwareLike(bytes: number): Buffer {
  const image = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += 8192) {
    randomBytes(4096).copy(image, at)
    image.fill(`section ${at} `, Math.min(bytes, at + 4096), Math.min(bytes, at + 8192))
  }
  return image
}

export async function writeImage(path: string, image: Uint8Array): Promise<string> {
  await writeFile(path, image)
  return path
}

export async function sha256Of(path: string): Promise<string> {
  const digest = createHash('sha256')
  for await (const part of createReadStream(path)) digest.update(part as Buffer)
  return `0x${digest.digest('hex')}`
}
