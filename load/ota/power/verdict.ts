/** What must hold of a device's disk after any fault, and what it has told by then. */
import { createHash } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@ioex/node/base'
import { type DeviceState, readEnrollment, readState } from '@ioex/node/device'
import { createMetadataFile } from '@ioex/node/firmware'
import { systemClock } from '@ioex/node/base'
import { imageOf, VERSIONS } from './world.ts'

/** Each is one of the promises that a fault can break. */
export const HARMS = [
  'bricked',
  'metadata torn or older',
  'confirmed twice',
  'verified block again',
  'not at the new release',
  'change not seen',
] as const
export type Harm = (typeof HARMS)[number]

export interface Finding {
  readonly harm: Harm
  readonly detail: string
}

export interface DiskFacts {
  readonly findings: readonly Finding[]
  /** Undefined when it cannot be read. */
  readonly state: DeviceState | undefined
  /** The version whose whole image `current` points at. */
  readonly boots: string | undefined
  /** Of the trusted timestamp; 0 when there is none yet. */
  readonly metadataVersion: number
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const KNOWN = new Map(VERSIONS.map((version) => [hashOf(imageOf(version)), version]))

/** Looks at a disk as a boot loader and a fresh agent would. `floor` is the metadata version that was durable before. */
export async function inspectDisk(
  home: string,
  expected: { readonly mayBeEmpty: boolean; readonly floor: number },
): Promise<DiskFacts> {
  const findings: Finding[] = []
  const found = (harm: Harm, detail: string) => findings.push({ harm, detail })
  const link = await readlink(join(home, 'slots', 'current')).catch(unlessAbsent)
  let boots: string | undefined
  if (link === undefined) {
    if (!expected.mayBeEmpty) found('bricked', 'there is no link to a running image')
  } else {
    const image = await readFile(join(home, 'slots', link, 'image')).catch(unlessAbsent)
    boots = image === undefined ? undefined : KNOWN.get(hashOf(image))
    if (boots === undefined) {
      found(
        'bricked',
        `${link} has ${image === undefined ? 'no image' : 'an image of neither release'}`,
      )
    }
  }
  let state: DeviceState | undefined
  try {
    state = await readState(home)
    if ((await readEnrollment(home, { clock: systemClock })) === undefined)
      found('bricked', 'the device does not know its fleet any more')
  } catch (thrown) {
    found('bricked', String(thrown))
  }
  const path = join(home, 'trusted-metadata.cbor')
  const isThere = (await readFile(path).catch(unlessAbsent)) !== undefined
  const files = await createMetadataFile(path).load()
  if (isThere && files.size === 0) found('metadata torn or older', 'it cannot be read')
  const metadataVersion = versionOf(files.get('timestamp'))
  if (metadataVersion < expected.floor) {
    found(
      'metadata torn or older',
      `timestamp ${metadataVersion}, after ${expected.floor} was durable`,
    )
  }
  return { findings, state, boots, metadataVersion }
}

function versionOf(timestamp: Uint8Array | undefined): number {
  if (timestamp === undefined) return 0
  const { signed } = JSON.parse(new TextDecoder().decode(timestamp)) as {
    readonly signed: { readonly version: number }
  }
  return signed.version
}

function unlessAbsent(thrown: unknown): undefined {
  if (codeOf(thrown) !== 'ENOENT') throw thrown
}
