import { readFile } from 'node:fs/promises'
import { asError, writeFileDurably } from '@ioex/node/base'
import { Failure } from '@ioex/node/cli'
import type { MetadataDraft } from '@ioex/node/firmware'
import { z } from 'zod'
import { decodeMetadata, encodeMetadata, MetadataSchema } from './vendor-home.ts'

const DraftSchema = z.object({
  v: z.literal(1),
  base: MetadataSchema,
  next: MetadataSchema,
  /** The release that the draft publishes; its blocks are at the gateway already. */
  publishes: z.object({ root: z.string(), model: z.string(), notes: z.string() }).optional(),
})

/** What goes from holder to holder: nothing in it is secret, and nothing in it counts until it is signed. */
export interface DraftFile extends MetadataDraft {
  readonly publishes?:
    | { readonly root: string; readonly model: string; readonly notes: string }
    | undefined
}

/** Throws `draft-unreadable`. */
export async function readDraft(path: string): Promise<DraftFile> {
  const text = await readFile(path, 'utf8')
  try {
    const { base, next, publishes } = DraftSchema.parse(JSON.parse(text))
    return { base: decodeMetadata(base), next: decodeMetadata(next), publishes }
  } catch (cause) {
    throw new Failure('draft-unreadable', `${path} is no draft: ${asError(cause).message}`, {
      fix: 'Have it sent again, as a file.',
      cause,
    })
  }
}

export function writeDraft(path: string, draft: DraftFile): Promise<void> {
  const { base, next, publishes } = draft
  const json = { v: 1, base: encodeMetadata(base), next: encodeMetadata(next), publishes }
  return writeFileDurably(path, `${JSON.stringify(json)}\n`, { mode: 0o600 })
}
