import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CarBlockIterator, CarWriter } from '@ipld/car'
import { type Http, type Release, ReleaseSchema, WrapPageSchema } from '@ioex/node/api'
import { defineCommand, Failure, formatBytes, homeOption, required, text } from '@ioex/node/cli'
import { collectMetadata, releaseFileBlocks } from '@ioex/node/firmware'
import type { EvmAddress } from '@ioex/node/identity'
import { CID } from 'multiformats/cid'
import { callerOf } from './gateway-caller.ts'
import { openHomeOf } from './vendor-home.ts'

export const command = defineCommand({
  about:
    'Put a release into one file, with its metadata and its keys, for devices without a network.',
  examples: [
    'ioex firmware export --release bafyrei… --out pump-1.5.0.car',
    'ioex firmware export --release bafyrei… --out /media/stick/pump.car --json',
  ],
  options: {
    home: homeOption,
    release: required(text('--release ROOT', 'the newest release of its model')),
    out: required(text('--out FILE.car', 'a file that is there already is replaced')),
  },
  next: 'ioex device install FILE.car        (on the device)',
  async run({ options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const http = callerOf(system, settings)
    const release = await http.json(
      { method: 'GET', path: `/v1/releases/${encodeURIComponent(options.release)}`, signal },
      ReleaseSchema,
    )
    if (release.state !== 'published') {
      throw new Failure('release-not-newest', `${release.version} is ${release.state}`, {
        fix: 'Devices install the newest release only: ioex firmware status shows it.',
      })
    }
    const part = `${options.out}.part`
    const progress = say.progress({
      label: 'Exporting',
      total: release.sealedBytes,
      unit: 'bytes',
    })
    try {
      const wraps = await wrapsOf(http, release.id, signal)
      const bytes = await writeCar(http, part, { release, wraps, signal }, (done) =>
        progress.update({ done }),
      )
      await rename(part, options.out)
      const { id, model, version } = release
      say.result({
        json: { release: id, model, version, file: options.out, bytes, cohorts: wraps.length },
        text: `${options.out} holds ${model} ${version}, ${formatBytes(bytes)}.\nOn the device: ioex device install FILE.car`,
        id: options.out,
      })
    } finally {
      progress.stop()
      await rm(part, { force: true })
    }
    return undefined
  },
})

async function wrapsOf(http: Http, id: string, signal: AbortSignal): Promise<Uint8Array[]> {
  const wraps: Uint8Array[] = []
  let after: string | undefined
  do {
    const page = await http.json(
      { method: 'GET', path: `/v1/releases/${id}/wraps`, query: { after }, signal },
      WrapPageSchema,
    )
    wraps.push(...page.items.map(({ wrap }) => new Uint8Array(Buffer.from(wrap, 'base64'))))
    after = page.next ?? undefined
  } while (after !== undefined)
  return wraps
}

/** Streams from the gateway into the file; resolves to its bytes. */
async function writeCar(
  http: Http,
  path: string,
  given: {
    readonly release: Release
    readonly wraps: readonly Uint8Array[]
    readonly signal: AbortSignal
  },
  onProgress: (doneBytes: number) => void,
): Promise<number> {
  const { release, wraps, signal } = given
  const { model, version } = release
  const vendor = release.vendor as EvmAddress
  const metadata = await collectMetadata(model, (name, maxBytes) =>
    http.bytes({
      method: 'GET',
      path: `/tuf/${vendor}/metadata/${encodeURIComponent(name)}`,
      maxBytes,
      signal,
    }),
  )
  const root = CID.parse(release.id)
  const [head, ...others] = releaseFileBlocks({ vendor, model, version, root, metadata, wraps })
  const { writer, out } = CarWriter.create([head.cid])
  const file = createWriteStream(path)
  const writing = pipeline(Readable.from(out), file, { signal })
  const sending = (async () => {
    for (const block of [head, ...others]) await writer.put(block)
    let done = 0
    await http.stream(
      { method: 'GET', path: `/ipfs/${release.id}`, query: { format: 'car' }, signal },
      async (parts) => {
        for await (const { cid, bytes } of await CarBlockIterator.fromIterable(parts)) {
          requireWhole(cid, bytes)
          await writer.put({ cid, bytes })
          done += bytes.byteLength
          onProgress(done)
        }
      },
    )
    await writer.close()
  })()
  try {
    // The writing ends alone when the disk is full; then nobody takes what is sent.
    await Promise.race([sending, writing.then(() => sending)])
    await writing
  } catch (thrown) {
    file.destroy()
    throw thrown
  }
  return file.bytesWritten
}

/** The device would refuse it; better to know it here. */
function requireWhole(cid: CID, bytes: Uint8Array): void {
  if (createHash('sha256').update(bytes).digest().equals(cid.multihash.digest)) return
  throw new Failure(
    'block-invalid',
    `the gateway sent other bytes than those of ${cid.toString()}`,
    { blame: 'peer', fix: 'Run it again; if it stays so, ask the operator of the gateway.' },
  )
}
