/**
 * One life of a device in a process of its own, with the seed and the gateway that it meets. What it is told goes to
 * files at once, so that whoever kills it knows what it knew.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { z } from 'zod'
import { mountDisk, watchFileSystem } from '@ioex/node/testing/power-cut'

const lifeSchema = z.object({
  folder: z.string(),
  home: z.string(),
  owed: z.array(z.string()),
  /** Ends itself with SIGKILL before so many changes of its disk; left out: somebody else does, or nobody. */
  diesBefore: z.int().optional(),
})
export type KillLife = z.infer<typeof lifeSchema>

/** Slow enough that a kill finds blocks on their way. */
const SEED_BYTES_PER_SECOND = 4 * 1024 * 1024
const ROUNDS = 3

const { folder, home, owed, diesBefore } = lifeSchema.parse(JSON.parse(process.argv[2] ?? '{}'))
if (diesBefore !== undefined) watchFileSystem()
const { readWorld, startDevice, startSurroundings } = await import('./world.ts')
const around = await startSurroundings(folder, await readWorld(folder), {
  newest: 1,
  bytesPerSecond: SEED_BYTES_PER_SECOND,
})
const tell = (line: object) =>
  appendFileSync(
    join(folder, 'lives.jsonl'),
    `${JSON.stringify({ ...line, servedBytes: around.seed.exchange.served().bytes })}\n`,
  )
if (diesBefore !== undefined) {
  let left = diesBefore
  mountDisk(home, {
    diesAt(operation) {
      if (left-- > 0) return undefined
      tell({ event: `${operation.kind} ${operation.path}` })
      process.kill(process.pid, 'SIGKILL')
      return undefined
    },
  })
}
const gateway: typeof around.gateway = {
  ...around.gateway,
  async fetch(url, init) {
    const answer = await around.gateway.fetch(url, init)
    const report = url.endsWith('/reports') ? around.gateway.reports.at(-1) : undefined
    if (report?.event === 'confirmed') tell({ report })
    return answer
  },
}
const device = await startDevice(around, home, {
  gateway,
  onEvent: (event) =>
    tell({
      event: event.name,
      ...(event.name === 'confirmed' ? { confirmed: event.installed.root } : {}),
    }),
  wrap: (needs) => ({
    ...needs,
    exchange: {
      openSession(options) {
        const session = needs.exchange.openSession(options)
        return {
          async get(cid, abort) {
            const bytes = await session.get(cid, abort)
            tell({ block: cid.toString() })
            return bytes
          },
          async fetch(cid, abort) {
            const held = await session.fetch(cid, abort)
            tell({ block: cid.toString() })
            return held
          },
          addSource: (source) => session.addSource(source),
          report: () => session.report(),
          close: () => session.close(),
        }
      },
    },
  }),
})
let lost = 0
for (const cid of owed) if (!(await device.node.storage.blocks.has(CID.parse(cid)))) lost++
tell({ event: 'started', lost })
for (let round = 0; round < ROUNDS; round++) {
  const { outcome, installed } = await device.agent.update()
  tell({ event: outcome, version: installed?.version })
  if (outcome === 'updated' || outcome === 'up-to-date') break
}
await device.stop()
await around.stop()
process.exit(0)
