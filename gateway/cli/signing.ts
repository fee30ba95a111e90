/**
 * What the commands that sign have in common: the keys that are here, a draft that is signed with them, and what
 * becomes of it. When its signatures are enough it is handed in; when not, it is left in a file for the next holder.
 */
import { type Http, VendorSchema } from '@ioex/node/api'
import { Failure, many, type Outcome, passphraseOf, type System } from '@ioex/node/cli'
import {
  createTufSigner,
  finishDraft,
  type MissingSignatures,
  missingSignatures,
  type OfflineMetadata,
  signDraft,
  type TufSigner,
} from '@ioex/node/firmware'
import { openKeystore } from '@ioex/node/identity'
import { type DraftFile, writeDraft } from './draft-file.ts'
import { encodeMetadata, type VendorHome, type VendorSettings } from './vendor-home.ts'

export const keyOption = many('--key FILE', 'key file of a holder, from: ioex vendor keys create')

/** Those of the vendor's home, if it has some, and those of the named files. */
export async function signersOf(
  home: VendorHome,
  options: { readonly key: readonly string[]; readonly passphraseFile: string | undefined },
  system: Pick<System, 'env' | 'stdin'>,
): Promise<TufSigner[]> {
  const seeds: (Uint8Array | undefined)[] = []
  if (options.key.length === 0) {
    for (const name of ['tuf-root', 'tuf-targets'] as const) seeds.push(await home.held(name))
  } else {
    const passphrase = await passphraseOf({ ...options, system })
    for (const file of options.key) {
      seeds.push((await openKeystore(file, { passphrase })).revealSeed())
    }
  }
  return seeds.filter((seed) => seed !== undefined).map(createTufSigner)
}

/** The newest metadata of an own-keys vendor. Throws `custody-managed`, `metadata-missing`. */
export async function ownMetadata(
  home: VendorHome,
  settings: VendorSettings,
): Promise<OfflineMetadata> {
  if (settings.custody === 'managed') {
    throw new Failure('custody-managed', `the gateway keeps the keys of ${settings.vendor}`, {
      fix: 'Nothing has to be signed here; it renews them by itself.',
    })
  }
  const metadata = await home.metadata()
  if (metadata !== undefined) return metadata
  throw new Failure('metadata-missing', `there is no metadata in ${home.folder}`, {
    fix: 'Restore the folder from your copy.',
  })
}

export interface Needs {
  readonly home: VendorHome
  readonly http: Http
  readonly settings: VendorSettings
  readonly signal: AbortSignal
}

/** Signs, and hands in what is ready; else `path` holds the draft for the next holder. */
export async function signAndDeliver(
  needs: Needs,
  draft: DraftFile,
  signers: readonly TufSigner[],
  path: string,
): Promise<Outcome> {
  const { draft: signed, signed: roles } = signDraft(draft, signers)
  const missing = missingSignatures(signed)
  if (missing.length > 0) {
    await writeDraft(path, { ...draft, ...signed })
    return waitingOutcome(path, roles, missing)
  }
  await submitMetadata(needs, draft.base, finishDraft(signed))
  return {
    json: { submitted: true, signed: roles },
    text: `Signed ${roles.join(', ')}; the gateway has it, devices follow with their next poll.`,
    id: 'submitted',
  }
}

export function waitingOutcome(
  path: string,
  roles: readonly string[],
  missing: readonly MissingSignatures[],
): Outcome {
  return {
    json: { submitted: false, draft: path, signed: [...roles], missing: [...missing] },
    text: [
      roles.length === 0 ? 'No key here may sign this.' : `Signed ${roles.join(', ')}.`,
      ...missing.map(missingText),
      `Next, a holder of such a key: ioex vendor keys sign ${path} --key FILE`,
    ].join('\n'),
    id: path,
  }
}

function missingText({ role, have, threshold, keyIds }: MissingSignatures): string {
  const who = keyIds.map((keyId) => keyId.slice(0, 12)).join(' or ')
  return `${role} has ${have} of ${threshold} signatures; missing: ${who}`
}

/** Sends the files that are new, and keeps what the gateway took. */
export async function submitMetadata(
  { home, http, settings, signal }: Needs,
  base: OfflineMetadata,
  next: OfflineMetadata,
): Promise<void> {
  await http.json(
    {
      method: 'POST',
      path: `/v1/vendors/${settings.vendor}/tuf-metadata`,
      json: newFiles(base, next),
      signal,
    },
    VendorSchema,
  )
  await home.saveMetadata(next)
}

/** As the API takes them: what did not change is left out. */
export function newFiles(base: OfflineMetadata, next: OfflineMetadata) {
  const before = encodeMetadata(base)
  const after = encodeMetadata(next)
  const lines = Object.entries(after.lines).filter(([role, text]) => before.lines[role] !== text)
  return {
    ...(after.root === before.root ? {} : { root: after.root }),
    ...(after.targets === before.targets ? {} : { targets: after.targets }),
    lines: Object.fromEntries(lines),
  }
}
