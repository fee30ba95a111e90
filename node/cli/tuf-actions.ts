import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, type Result, writeFileDurably } from '../base/index.ts'
import type { TufClientNeeds, TufRefusal, TufTarget } from '../firmware/index.ts'
import type { Call } from './command.ts'
import { Failure } from './failure.ts'
import { formatBytes, formatTable } from './format.ts'
import { printable } from './say.ts'
import { createTufRepository } from './tuf-repository.ts'

type TufCall = Pick<Call<unknown, unknown>, 'say' | 'system' | 'signal'>

interface Repository {
  /** Of trusted metadata. */
  readonly folder: string
  readonly metadataUrl: string
}

const REFUSALS: Readonly<Record<TufRefusal, readonly [message: string, fix: string]>> = {
  'metadata-expired': [
    'the repository serves metadata that has expired',
    'Check the clock of this machine; else the repository is cut off or frozen.',
  ],
  'metadata-rolled-back': [
    'the repository serves older metadata than was seen before',
    'Do not trust it; ask whoever runs it.',
  ],
  'metadata-untrusted': [
    'the repository serves metadata that the right keys did not sign',
    'Do not trust it; ask whoever runs it.',
  ],
  'metadata-missing': [
    'the repository lacks metadata that it should have',
    'Check the address of its metadata.',
  ],
  'metadata-too-large': [
    'the repository serves a file that is larger than it may be',
    'Do not trust it; ask whoever runs it.',
  ],
  'root-missing': [
    'there is no root.json in the folder',
    'Run it with init and the root.json of the repository.',
  ],
  'root-present': [
    'the folder has another root.json already, which only its repository may replace',
    'Choose an empty folder.',
  ],
  'target-missing': [
    'no role of the repository that may speak for it names this target',
    'Check how its name is written.',
  ],
}

export async function init(
  call: TufCall,
  { folder, root }: { readonly folder: string; readonly root: string },
): Promise<void> {
  const bytes = await readFile(root)
  const client = await clientOf(call, folder, () => {
    throw new TypeError('init asks nobody')
  })
  valueOf(await client.init(bytes))
  call.say.result({ json: { metadataDir: folder }, text: `${folder} trusts ${root} from now on.` })
}

export async function refresh(call: TufCall, repository: Repository): Promise<void> {
  const { say, signal } = call
  const client = await repositoryClient(call, repository)
  valueOf(await client.refresh({ signal }))
  const { folder } = repository
  say.result({ json: { metadataDir: folder }, text: `${folder} is up to date.` })
}

/** In order with one client; ends at the first target that fails, with those before it in their place. */
export async function download(
  call: TufCall,
  options: Repository & {
    readonly names: readonly string[]
    readonly targetUrl: string
    readonly targetFolder: string
  },
): Promise<void> {
  const { say, signal } = call
  const { verifiedTarget } = await import('../firmware/index.ts')
  const client = await repositoryClient(call, options)
  const source = repositoryOf(call, options.targetUrl)
  const done: { name: string; path: string; bytes: number; fetched: boolean }[] = []
  for (const name of options.names) {
    const target = valueOf(await client.find(name, { signal }), name)
    const path = join(options.targetFolder, fileName(name))
    const isThere = await holds(path, target, verifiedTarget)
    if (!isThere) {
      const stream = source.target(target.repositoryPath, { signal })
      await writeFileDurably(path, verifiedTarget(target, stream))
    }
    done.push({ name, path, bytes: target.bytes, fetched: !isThere })
  }
  say.result({
    json: { targets: done },
    text: formatTable(
      done.map(({ path, bytes, fetched }) => {
        return [say.word('ok'), path, formatBytes(bytes), fetched ? 'fetched' : 'was there']
      }),
    ),
    id: done.map(({ path }) => path).join('\n'),
  })
}

/** Is the file there, and is it this target? */
async function holds(
  path: string,
  target: TufTarget,
  verified: (target: TufTarget, source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): Promise<boolean> {
  try {
    for await (const part of verified(target, createReadStream(path))) void part
    return true
  } catch (thrown) {
    if (['target-damaged', 'ENOENT'].includes(codeOf(thrown) ?? '')) return false
    throw thrown
  }
}

/** Targets may have slashes in their names; they all lie side by side, so that none can leave the folder. */
function fileName(target: string): string {
  const name = encodeURIComponent(target)
  if (!/^\.*$/.test(name)) return name
  throw new Failure('target-name-unusable', `no file can be called "${target}"`, {
    fix: 'Ask for a target with another name.',
  })
}

function repositoryOf({ system }: TufCall, url: string) {
  return createTufRepository(
    { clock: system.clock, fetch: (address, init) => fetch(address, init) },
    { url },
  )
}

function repositoryClient(call: TufCall, { folder, metadataUrl }: Repository) {
  return clientOf(call, folder, repositoryOf(call, metadataUrl).metadata)
}

async function clientOf(
  { say, system }: TufCall,
  folder: string,
  fetchMetadata: TufClientNeeds['fetchMetadata'],
) {
  const { createMetadataFolder, createTufClient } = await import('../firmware/index.ts')
  return createTufClient({
    files: createMetadataFolder(folder),
    fetchMetadata,
    clock: system.clock,
    log: { warn: (_fields, message) => say.note(printable(message)) },
  })
}

function valueOf<T>(result: Result<T, TufRefusal>, target?: string): T {
  if (result.ok) return result.value
  const [message, fix] = REFUSALS[result.reason]
  const text = target === undefined ? message : `${target}: ${message}`
  throw new Failure(result.reason, text, { fix, blame: 'peer' })
}
