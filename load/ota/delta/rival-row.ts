import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { asError } from '@ioex/node/base'
import { z } from 'zod'
import { findProgram } from '../../exchange/find-program.ts'
import { measured } from './measured.ts'
import { RIVALS } from './rivals.ts'
import { requireSameFile } from './same-file.ts'
import type { Cost, Pair, Rival, RivalJob, Row } from './types.ts'

export interface RivalNeeds {
  readonly cache: string
  /** For what is not kept. */
  readonly scratch: string
  /** GNU time. */
  readonly time: string
  readonly applyRuns: number
  readonly timeoutMs: number
  /** Publish again, whatever is kept. */
  readonly isFresh: boolean
}

/** What a publisher's tool took, kept beside what it made; a tool that was too slow is not tried again. */
const Kept = z.union([
  z.object({ cpuSeconds: z.number(), peakRssBytes: z.number() }),
  z.object({ error: z.string() }),
])
type Kept = z.infer<typeof Kept>

export type RivalName = keyof typeof RIVALS

export async function rivalRow(name: RivalName, pair: Pair, needs: RivalNeeds): Promise<Row> {
  const rival = RIVALS[name]
  try {
    const digest = createHash('sha256')
    for (const program of rival.programs) {
      const path = await findProgram(program)
      if (path === undefined) {
        const error = `${program} is not installed; Debian: apt-get install ${rival.debianPackage}`
        return { name, error, missing: true }
      }
      await pipeline(createReadStream(path), digest, { end: false })
    }
    const id = [digest.digest('hex'), pair.old.sha256, pair.new.sha256]
    const short = id.map((one) => one.slice(0, ID_DIGITS)).join('-')
    const published = join(needs.cache, 'published', `${name}-${short}`)
    const job: RivalJob = {
      pair,
      published,
      run: (program, ...args) =>
        measured(program, args, {
          cwd: published,
          timeoutMs: needs.timeoutMs,
          time: needs.time,
        }),
    }
    const { kept, isCached } = await publishOnce(rival, job, needs)
    if ('error' in kept) return { name, error: kept.error }
    const runs = []
    const output = join(needs.scratch, 'output')
    for (let run = 0; run < needs.applyRuns; run++) {
      await rm(output, { force: true })
      runs.push(await rival.apply(job, output))
      await requireSameFile(output, pair.new.path)
    }
    await rm(output, { force: true })
    const median = medianByCpu(runs)
    return {
      name,
      figures: {
        fetchedBytes: median.fetchedBytes,
        publish: kept,
        apply: median,
        isPublishCached: isCached,
      },
    }
  } catch (thrown) {
    return { name, error: asError(thrown).message }
  }
}

const ID_DIGITS = 12

async function publishOnce(
  rival: Rival,
  job: RivalJob,
  { isFresh }: RivalNeeds,
): Promise<{ readonly kept: Kept; readonly isCached: boolean }> {
  // Written last, so that what broke off is made again.
  const note = join(job.published, 'publish.json')
  if (!isFresh && (await isThere(note))) {
    return { kept: Kept.parse(JSON.parse(await readFile(note, 'utf8'))), isCached: true }
  }
  await rm(job.published, { recursive: true, force: true })
  await mkdir(job.published, { recursive: true })
  const kept = await rival
    .publish(job)
    .catch((thrown: unknown) => ({ error: asError(thrown).message }))
  await writeFile(note, JSON.stringify(kept))
  return { kept, isCached: false }
}

export function medianByCpu<Run extends Cost>(runs: readonly Run[]): Run {
  const sorted = runs.toSorted((a, b) => a.cpuSeconds - b.cpuSeconds)
  const median = sorted[Math.floor(sorted.length / 2)]
  if (median === undefined) throw new Error('nothing was run')
  return median
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
