import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, type Random, systemRandom, writeFileDurably } from '@ioex/node/base'
import { Failure, homeFolder, passphraseOf, type System } from '@ioex/node/cli'
import { createKeystore, openKeystore } from '@ioex/node/identity'
import type { OfflineMetadata } from '@ioex/node/firmware'
import { CustodySchema } from '@ioex/node/api'
import { z } from 'zod'

const SECRET_BYTES = 32
const SECRETS = ['account', 'tuf-root', 'tuf-targets', 'content-secret'] as const
export type SecretName = (typeof SECRETS)[number]

const SettingsSchema = z.object({
  gateway: z.string(),
  vendor: z.string().regex(/^0x[0-9a-f]{40}$/),
  custody: CustodySchema,
  token: z.string(),
})
export type VendorSettings = z.infer<typeof SettingsSchema>

/** How a rollout begins that the vendor has signed: kept until the gateway has it. */
const RolloutStartSchema = z.object({
  witnesses: z.array(z.array(z.string())),
  approval: z.enum(['automatic', 'manual']),
})
export type RolloutStart = z.infer<typeof RolloutStartSchema>

/**
 * What a vendor keeps on the machine that publishes, below `vendor/` of the home folder, all with mode 0600, the keys
 * sealed by a passphrase when one is given. With own keys the gateway has none of these secrets; who can open enough
 * of them for the thresholds can publish in the vendor's name.
 */
export interface VendorHome {
  readonly folder: string
  /** Throws `vendor-missing`. */
  settings(): Promise<VendorSettings>
  saveSettings(settings: VendorSettings): Promise<void>
  exists(): Promise<boolean>
  /** 32 bytes, made at the first call. Throws `passphrase-wrong` and what else `openKeystore` throws. */
  secret(name: SecretName): Promise<Uint8Array>
  /** As `secret`; undefined when it is not here. */
  held(name: SecretName): Promise<Uint8Array | undefined>
  /** The newest metadata that the gateway has taken; undefined before the first. */
  metadata(): Promise<OfflineMetadata | undefined>
  saveMetadata(metadata: OfflineMetadata): Promise<void>
  releaseKey(root: string): Promise<Uint8Array | undefined>
  saveReleaseKey(root: string, key: Uint8Array): Promise<void>
  knownChunks(model: string): Promise<Uint8Array | undefined>
  saveKnownChunks(model: string, bytes: Uint8Array): Promise<void>
  forgetKnownChunks(model: string): Promise<void>
  rolloutStart(root: string): Promise<RolloutStart | undefined>
  saveRolloutStart(root: string, start: RolloutStart): Promise<void>
}

const PRIVATE = { mode: 0o600 } as const

/** The home that a command names, its keys opened by the passphrase that it names. */
export function openHomeOf(
  options: { readonly home: string | undefined; readonly passphraseFile?: string | undefined },
  system: System,
): VendorHome {
  const passphrase = () => passphraseOf({ passphraseFile: options.passphraseFile, system })
  return openVendorHome(homeFolder(options.home, system.env), systemRandom, passphrase)
}

function openVendorHome(
  home: string,
  random: Random,
  askPassphrase: () => Promise<string | undefined>,
): VendorHome {
  const folder = join(home, 'vendor')
  const opened = new Map<SecretName, Uint8Array>()
  let asked: Promise<string | undefined> | undefined
  const pathOf = (name: SecretName) => at('keys', `${name}.json`)
  const held = async (name: SecretName): Promise<Uint8Array | undefined> => {
    const known = opened.get(name)
    if (known !== undefined) return known
    asked ??= askPassphrase()
    try {
      const secret = (await openKeystore(pathOf(name), { passphrase: await asked })).revealSeed()
      opened.set(name, secret)
      return secret
    } catch (thrown) {
      if (codeOf(thrown) === 'keystore-missing') return undefined
      throw thrown
    }
  }
  const at = (...names: string[]) => join(folder, ...names)
  const read = async (path: string): Promise<Uint8Array | undefined> => {
    try {
      return new Uint8Array(await readFile(path))
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return undefined
      throw thrown
    }
  }
  const readText = async (path: string) => {
    const bytes = await read(path)
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8')
  }
  return {
    folder,
    async settings() {
      const text = await readText(at('vendor.json'))
      if (text === undefined) {
        throw new Failure('vendor-missing', `there is no vendor in ${folder}`, {
          fix: 'Make one: ioex vendor create --gateway URL --name NAME',
        })
      }
      return SettingsSchema.parse(JSON.parse(text))
    },
    saveSettings: (settings) =>
      writeFileDurably(at('vendor.json'), JSON.stringify(settings, undefined, 2), PRIVATE),
    async exists() {
      try {
        return (await stat(at('vendor.json'))).isFile()
      } catch (thrown) {
        if (codeOf(thrown) === 'ENOENT') return false
        throw thrown
      }
    },
    held,
    async secret(name) {
      const known = await held(name)
      if (known !== undefined) return known
      const seed = random.bytes(SECRET_BYTES)
      await mkdir(at('keys'), { recursive: true, mode: 0o700 })
      asked ??= askPassphrase()
      await createKeystore(pathOf(name), { seed, passphrase: await asked }, random)
      opened.set(name, seed)
      return seed
    },
    async metadata() {
      const text = await readText(at('metadata.json'))
      if (text === undefined) return undefined
      return decodeMetadata(MetadataSchema.parse(JSON.parse(text)))
    },
    saveMetadata: (metadata) =>
      writeFileDurably(at('metadata.json'), JSON.stringify(encodeMetadata(metadata)), PRIVATE),
    releaseKey: (root) => read(at('releases', `${root}.key`)),
    saveReleaseKey: (root, key) => writeFileDurably(at('releases', `${root}.key`), key, PRIVATE),
    knownChunks: (model) => read(at('known', `${model}.chunks`)),
    saveKnownChunks: (model, bytes) =>
      writeFileDurably(at('known', `${model}.chunks`), bytes, PRIVATE),
    forgetKnownChunks: (model) => rm(at('known', `${model}.chunks`), { force: true }),
    async rolloutStart(root) {
      const text = await readText(at('releases', `${root}.rollout.json`))
      return text === undefined ? undefined : RolloutStartSchema.parse(JSON.parse(text))
    },
    saveRolloutStart: (root, start) =>
      writeFileDurably(at('releases', `${root}.rollout.json`), JSON.stringify(start), PRIVATE),
  }
}

export const MetadataSchema = z.object({
  root: z.string(),
  targets: z.string(),
  lines: z.record(z.string(), z.string()),
})

/** As the API takes it. */
export function encodeMetadata(metadata: OfflineMetadata): z.infer<typeof MetadataSchema> {
  return {
    root: toBase64(metadata.root),
    targets: toBase64(metadata.targets),
    lines: Object.fromEntries(
      Object.entries(metadata.lines).map(([role, bytes]) => [role, toBase64(bytes)]),
    ),
  }
}

export function decodeMetadata(json: z.infer<typeof MetadataSchema>): OfflineMetadata {
  return {
    root: fromBase64(json.root),
    targets: fromBase64(json.targets),
    lines: Object.fromEntries(
      Object.entries(json.lines).map(([role, bytes]) => [role, fromBase64(bytes)]),
    ),
  }
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'))
}
