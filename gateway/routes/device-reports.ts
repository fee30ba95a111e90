import { createRoute, z } from '@hono/zod-openapi'
import {
  CidSchema,
  ProgressSchema,
  ReportChainSchema,
  RolloutOrderSchema,
  type SignedReport,
  SignedReportSchema,
} from '@ioex/node/api'
import { type ChainEnd, followsChain, openReport, reportHash } from '@ioex/node/firmware'
import type { Parts } from '../context.ts'
import { deviceIn, forDevice, notFound } from '../guards/bearer.ts'
import { REPORTS_KEPT_PER_DEVICE } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { addDeviceEvent } from '../store/devices.ts'
import type { Database } from '../store/open.ts'
import type { DeviceRow } from '../store/tables.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

const report = createRoute({
  method: 'post',
  path: '/v1/devices/me/reports',
  summary: 'Device: say what became of a release, signed, as the next of its chain',
  ...forDevice,
  request: { body: jsonBody(SignedReportSchema) },
  responses: answers(200, ReportChainSchema, 'durable, or there already', [
    'report-forged',
    'report-body-changed',
    'report-gap',
    'report-forked',
  ]),
})
const progress = createRoute({
  method: 'post',
  path: '/v1/devices/me/progress',
  summary: 'Device: say how far a download is',
  ...forDevice,
  request: { body: jsonBody(ProgressSchema) },
  responses: answers(200, z.object({ noted: z.boolean() }), 'noted', ['not-found']),
})
const order = createRoute({
  method: 'get',
  path: '/v1/devices/me/rollouts/{root}',
  summary: 'Device: hear the newest order of a rollout',
  ...forDevice,
  request: {
    params: z.object({ root: CidSchema }),
    query: z.object({ have: z.coerce.number().int().min(0).default(0) }),
  },
  responses: answers(
    200,
    z.object({ order: RolloutOrderSchema.nullable() }),
    'null when there is none above the version "have"',
  ),
})

export function deviceReportRoutes(parts: Parts) {
  const { db, clock, releaseEvents, rollouts } = parts

  const releaseOf = (root: string, vendor: string) =>
    db
      .selectFrom('releases')
      .select(['id', 'version'])
      .where('id', '=', root)
      .where('vendor', '=', vendor)
      .executeTakeFirst()

  return createAppPart()
    .openapi(report, async (c) => {
      const { device, vendor } = deviceIn(c)
      const signed = c.req.valid('json')
      const opened = openReport(device, signed)
      if (!opened.ok) {
        throw new ProblemError(opened.reason, 'the report is not what this device has signed', {
          fix: 'Send it as it was signed.',
        })
      }
      const { head } = signed
      const body = opened.value
      // A release that is not known here keeps its place in the chain, and changes nothing else.
      const release = await releaseOf(head.root, vendor)
      const nowMs = clock.nowMs()
      const taken = await db.transaction().execute(async (transaction) => {
        const chain = await append(transaction, device, signed)
        if (!chain.stored || release === undefined) return chain
        const runs: Partial<DeviceRow> =
          head.event === 'confirmed'
            ? { running_version: release.version, running_root: release.id }
            : {}
        await transaction
          .updateTable('devices')
          .set({
            state: head.event,
            target: release.id,
            percent: null,
            reason: body?.detail ?? null,
            seen_ms: nowMs,
            ...runs,
          })
          .where('id', '=', device)
          .execute()
        await addDeviceEvent(transaction, {
          device,
          at_ms: nowMs,
          event: head.event,
          release: release.id,
          detail: body?.detail ?? null,
          sha256: body?.sha256 ?? null,
          fetched_bytes: body?.fetchedBytes ?? null,
          sources: JSON.stringify(body?.sources ?? []),
        })
        if (head.event !== 'written') {
          const isWell = head.event === 'confirmed'
          const end = { release: release.id, device, seq: head.seq, isWell }
          await rollouts.ended(transaction, end)
        }
        return chain
      })
      if (taken.stored && release !== undefined) {
        releaseEvents.changed(release.id, { device, event: head.event, atMs: nowMs, percent: null })
        if (head.event !== 'written') await rollouts.decide(release.id)
      }
      return c.json(taken, 200)
    })
    .openapi(progress, async (c) => {
      const { device, vendor } = deviceIn(c)
      const word = c.req.valid('json')
      const release = await releaseOf(word.root, vendor)
      if (release === undefined) throw notFound(`release ${word.root} of this vendor`)
      const nowMs = clock.nowMs()
      const percent = word.progress ?? null
      await db.transaction().execute(async (transaction) => {
        const before = await transaction
          .selectFrom('devices')
          .select(['state', 'target'])
          .where('id', '=', device)
          .executeTakeFirst()
        if (before === undefined) throw deviceGone()
        await transaction
          .updateTable('devices')
          .set({
            state: 'downloading',
            target: release.id,
            percent,
            reason: word.detail ?? null,
            seen_ms: nowMs,
          })
          .where('id', '=', device)
          .execute()
        // Moving bytes is not an event: a row for each step would fill the history of a fleet.
        if (before.state === 'downloading' && before.target === release.id) return
        await addDeviceEvent(transaction, {
          device,
          at_ms: nowMs,
          event: 'downloading',
          release: release.id,
          detail: word.detail ?? null,
          sha256: null,
          fetched_bytes: word.fetchedBytes ?? null,
          sources: JSON.stringify(word.sources ?? []),
        })
      })
      releaseEvents.changed(release.id, { device, event: 'downloading', atMs: nowMs, percent })
      return c.json({ noted: true }, 200)
    })
    .openapi(order, async (c) => {
      const { vendor } = deviceIn(c)
      const { root } = c.req.valid('param')
      const newest = await rollouts.order(root, vendor, c.req.valid('query').have)
      return c.json({ order: newest ?? null }, 200)
    })
}

/** Adds a report to the chain of its device. Throws `report-gap` and `report-forked` with the end that is here. */
async function append(
  db: Database,
  device: string,
  { head, signature, report: text }: SignedReport,
): Promise<ChainEnd & { readonly stored: boolean }> {
  const row = await db
    .selectFrom('devices')
    .select(['chain_seq', 'chain_head'])
    .where('id', '=', device)
    .executeTakeFirst()
  if (row === undefined) throw deviceGone()
  const end: ChainEnd = { seq: row.chain_seq, head: row.chain_head as ChainEnd['head'] }
  // A device that reported elsewhere before it came here goes on with its chain.
  const begins = end.seq === 0 ? { seq: head.seq - 1, head: head.prev } : end
  const follows = followsChain(begins, head)
  if (!follows.ok) {
    throw new ProblemError(follows.reason, `report ${head.seq} does not follow ${end.seq}`, {
      fix: 'Send what follows the report that is named in "chain".',
      chain: end,
    })
  }
  if (!follows.value.isNew) return { ...end, stored: false }
  const next = { seq: head.seq, head: reportHash(head) }
  const moved = await db
    .updateTable('devices')
    .set({ chain_seq: next.seq, chain_head: next.head })
    .where('id', '=', device)
    .where('chain_seq', '=', end.seq)
    .executeTakeFirst()
  if (moved.numUpdatedRows !== 1n) {
    throw new ProblemError('busy', 'another report of this device is being taken', {
      fix: 'Send one after the other.',
    })
  }
  const { seq, prev, root, event, atMs, body } = head
  await db
    .insertInto('device_reports')
    .values({ device, seq, prev, root, event, at_ms: atMs, body, signature, report: text })
    .execute()
  await db
    .deleteFrom('device_reports')
    .where('device', '=', device)
    .where('seq', '<=', seq - REPORTS_KEPT_PER_DEVICE)
    .execute()
  return { ...next, stored: true }
}

function deviceGone(): ProblemError {
  return new ProblemError('token-refused', 'the device was taken off', {
    fix: 'Enrol it again with a new code.',
  })
}
