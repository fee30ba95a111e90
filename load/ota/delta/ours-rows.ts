import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { asError } from '@ioex/node/base'
import type { Processes } from '../../exchange/processes.ts'
import { together } from './measured.ts'
import type { DeviceAnswer, DeviceTask, PublishAnswer, PublishTask } from './ours-tasks.ts'
import { medianByCpu } from './rival-row.ts'
import { requireSameFile } from './same-file.ts'
import type { Pair, Row, RowName } from './types.ts'

export interface OursNeeds {
  readonly processes: Processes
  readonly scratch: string
  readonly applyRuns: number
}

export type OursRowName = Extract<RowName, `ours-${string}`>

/** Publishes both releases, installs the old one on a device, and updates it in each way as often as is to be measured. */
export async function oursRows(
  names: readonly OursRowName[],
  pair: Pair,
  needs: OursNeeds,
): Promise<readonly Row[]> {
  if (names.length === 0) return []
  const folder = join(needs.scratch, 'ours')
  await mkdir(folder, { recursive: true })
  try {
    const published = await answerOf<PublishAnswer>(needs.processes, 'ours-publisher.ts', {
      old: pair.old.path,
      new: pair.new.path,
      profile: pair.profile,
      patches: names.includes('ours-patches'),
      folder,
    } satisfies PublishTask)
    const slots = join(folder, 'slots')
    await device(needs, { slots, release: published.old })
    await requireSameFile(join(slots, 'slot-a', 'image'), pair.old.path)
    const rows: Row[] = []
    for (const name of names) rows.push(await oursRow(name, pair, published, slots, needs))
    return rows
  } catch (thrown) {
    return names.map((name) => ({ name, error: asError(thrown).message }))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function oursRow(
  name: OursRowName,
  pair: Pair,
  published: PublishAnswer,
  slots: string,
  needs: OursNeeds,
): Promise<Row> {
  const delta = name === 'ours-patches' ? published.delta : undefined
  const update: DeviceTask = {
    slots,
    release: published.new,
    installed: published.old,
    ...(delta === undefined ? {} : { delta }),
  }
  const runs = []
  try {
    for (let run = 0; run < needs.applyRuns; run++) {
      const answer = await device(needs, update)
      const image = join(slots, 'slot-b', 'image')
      await requireSameFile(image, pair.new.path)
      await rm(image)
      runs.push({ ...answer.cost, answer })
    }
  } catch (thrown) {
    return { name, error: asError(thrown).message }
  }
  const { answer, ...apply } = medianByCpu(runs)
  const parts = { wrap: published.wrapBytes, ...answer.fetched }
  return {
    name,
    figures: {
      fetchedBytes: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0),
      parts,
      publish: delta === undefined ? published.cost : together(published.cost, delta.cost),
      apply,
      applyGrowthBytes: Math.max(...runs.map((run) => run.answer.growthBytes)),
      isPublishCached: false,
    },
  }
}

function device({ processes }: OursNeeds, task: DeviceTask): Promise<DeviceAnswer> {
  return answerOf(processes, 'ours-device.ts', task)
}

async function answerOf<Answer>(
  processes: Processes,
  script: string,
  task: unknown,
): Promise<Answer> {
  const path = join(import.meta.dirname, script)
  const running = processes.start(process.execPath, [path, JSON.stringify(task)])
  const answer = JSON.parse(await running.line()) as Answer
  await running.finish()
  return answer
}
