import { readFile, stat } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import {
  ApiError,
  type Release,
  ReleaseSchema,
  type RolloutPlan,
  RolloutPlanSchema,
  UploadSchema,
} from '@ioex/node/api'
import { asError } from '@ioex/node/base'
import {
  argument,
  defineCommand,
  formatBytes,
  homeOption,
  misuse,
  passphraseOption,
  required,
  type Say,
  text,
  withDefault,
} from '@ioex/node/cli'
import { callerOf } from './gateway-caller.ts'
import { type ImageSource, publishSealed, type Sealed } from './publish-sealed.ts'
import { UPLOAD_TIMEOUT_MS } from './publish-signed.ts'
import { keyOption, signersOf, waitingOutcome } from './signing.ts'
import { openHomeOf } from './vendor-home.ts'

export const command = defineCommand({
  about: 'Publish signed firmware to your devices.',
  examples: [
    'ioex firmware publish app.bin --model pump-s3 --version 1.5.0',
    'ioex firmware publish app.bin --model pump-s3 --version 1.5.0 --notes "Quieter fan" --json',
  ],
  args: { file: argument('FILE', 'the image') },
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    model: required(text('--model M', 'what kind of device it is for')),
    version: required(text('--version V', 'given once and never again')),
    notes: text('--notes TEXT', 'what changed'),
    rollout: text('--rollout FILE', 'phases, and the version to go back to, as JSON'),
    key: keyOption,
    draft: withDefault(
      text('--draft FILE', 'where it waits for other holders, when more than one have to sign'),
      'release.draft',
    ),
  },
  next: 'ioex firmware status',
  async run({ args, options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const { size } = await stat(args.file)
    if (size === 0) throw misuse('image-empty', `${args.file} is empty`, 'Name a file with bytes.')
    const source = {
      file: args.file,
      bytes: size,
      model: options.model,
      version: options.version,
      notes: options.notes ?? '',
      rollout: options.rollout === undefined ? undefined : await planFrom(options.rollout),
    }
    const http = callerOf(system, settings)
    let release: Release
    if (settings.custody === 'own') {
      const signers = await signersOf(home, options, system)
      const needs = { home, http, settings, say, clock: system.clock, signal }
      const sealed = await publishOwn(needs, { ...source, signers, draftFile: options.draft })
      if (!('release' in sealed)) {
        say.result(waitingOutcome(sealed.draft, sealed.signed, sealed.missing))
        return undefined
      }
      release = sealed.release
    } else {
      release = await publishPlain(http, settings.vendor, source, say, signal)
    }
    const state =
      release.state === 'published'
        ? `is ready on ${release.copies} nodes; devices may fetch it now.`
        : `is stored and waits for seeds, ${release.copies} of ${release.copiesWanted} have it.`
    say.result({
      json: { ...release },
      text: `${options.model} ${options.version} ${state}\n${release.id}, ${formatBytes(release.sealedBytes)}\nNext: ioex firmware status`,
      id: release.id,
    })
    return undefined
  },
})

async function planFrom(file: string): Promise<RolloutPlan> {
  const json = await readFile(file, 'utf8')
  try {
    return RolloutPlanSchema.parse(JSON.parse(json))
  } catch (thrown) {
    throw misuse(
      'rollout-invalid',
      `${file} is no rollout: ${asError(thrown).message.slice(0, 500)}`,
      'Write {"phases": [{"percent": 1, "minSample": 20}, …], "rollbackTo": "1.4.0"}.',
    )
  }
}

/** When the gateway has let go of an earlier release, what was counted on from there is packed anew. */
async function publishOwn(
  needs: Parameters<typeof publishSealed>[0],
  source: ImageSource,
): Promise<Sealed> {
  try {
    return await publishSealed(needs, source)
  } catch (thrown) {
    const isMissing = thrown instanceof ApiError && thrown.problem?.code === 'blocks-missing'
    if (!isMissing) throw thrown
    needs.say.note('The gateway lacks blocks of an earlier release; packing all of them …')
    await needs.home.forgetKnownChunks(source.model)
    return publishSealed(needs, source)
  }
}

/** With the keys at the gateway: the image itself, as curl -T would send it. */
async function publishPlain(
  http: ReturnType<typeof callerOf>,
  vendor: string,
  source: Omit<ImageSource, 'signers' | 'draftFile'>,
  say: Say,
  signal: AbortSignal,
): Promise<Release> {
  const progress = say.progress({ label: 'Uploading', total: source.bytes, unit: 'bytes' })
  let done = 0
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(part, controller) {
      done += part.byteLength
      progress.update({ done })
      controller.enqueue(part)
    },
  })
  const bytes = Readable.toWeb(createReadStream(source.file)) as ReadableStream<Uint8Array>
  try {
    const { model, version, notes, rollout } = source
    const { upload } = await http.json(
      {
        method: 'POST',
        path: `/v1/vendors/${vendor}/uploads`,
        json: { model, version, notes, rollout },
        signal,
      },
      UploadSchema,
    )
    return await http.json(
      {
        method: 'PUT',
        path: `/v1/uploads/${upload}`,
        body: { stream: bytes.pipeThrough(counted), type: 'application/octet-stream' },
        timeoutMs: UPLOAD_TIMEOUT_MS,
        signal,
      },
      ReleaseSchema,
    )
  } finally {
    progress.stop()
  }
}
