import { RolloutOrderSchema } from '@ioex/node/api'
import { asError, unixSeconds } from '@ioex/node/base'
import {
  createTufSigner,
  newestMetadata,
  phaseOfBucket,
  releasesOf,
  type RolloutPolicy,
  RolloutPolicySchema,
  rolloutBucket,
  signRolloutOrder,
  witnessesDigest,
} from '@ioex/node/firmware'
import type { EvmAddress } from '@ioex/node/identity'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import { ROLLOUT_ORDER_LIFETIME_S, ROLLOUT_TICK_MS } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { announce } from '../publishing/publish.ts'
import type { Database } from '../store/open.ts'
import { storeRollout } from '../store/rollouts.ts'
import type { ReleaseRow, RolloutRow } from '../store/tables.ts'
import { timeOf } from '../store/times.ts'
import {
  decideRollout,
  isProven,
  type PhaseCounts,
  rolloutOrder,
  type Successes,
} from './decide.ts'
import type { RolloutAction, Rollouts } from './types.ts'

type Needs = Pick<Parts, 'db' | 'keys' | 'clock' | 'log' | 'node'>

export function createRollouts(needs: Needs): Rollouts {
  const { db, clock, log } = needs
  let cancel: () => void = () => undefined
  let isStopped = true
  let turn: Promise<unknown> = Promise.resolve()

  const find = (release: string, from: Database = db) =>
    from.selectFrom('rollouts').selectAll().where('release', '=', release).executeTakeFirst()

  const countsOf = async (row: RolloutRow): Promise<PhaseCounts[]> => {
    const rows = await db
      .selectFrom('rollout_devices')
      .select(({ fn }) => ['phase', 'is_well', 'is_witness', fn.countAll<number>().as('devices')])
      .where('release', '=', row.release)
      .where('is_set_aside', '=', 0)
      .groupBy(['phase', 'is_well', 'is_witness'])
      .execute()
    return policyOf(row).phases.map((_, phase) => {
      const sum = (pick: (one: (typeof rows)[number]) => boolean) =>
        rows
          .filter((one) => one.phase === phase && pick(one))
          .reduce((total, { devices }) => total + Number(devices), 0)
      return {
        confirmed: sum(({ is_well }) => is_well === 1),
        failed: sum(({ is_well }) => is_well === 0),
        witnessed: sum(({ is_well, is_witness }) => is_well === 1 && is_witness === 1),
      }
    })
  }

  const successesOf = async (row: RolloutRow, phase: number): Promise<Successes> => {
    const rows = await db
      .selectFrom('rollout_devices as ended')
      .innerJoin('device_reports as report', (join) =>
        join.onRef('report.device', '=', 'ended.device').onRef('report.seq', '=', 'ended.seq'),
      )
      .select(['report.device', 'report.seq', 'report.prev', 'report.at_ms', 'report.body'])
      .select('report.signature')
      .where('ended.release', '=', row.release)
      .where('ended.phase', '=', phase)
      .where('ended.is_well', '=', 1)
      .where('ended.is_witness', '=', 1)
      .execute()
    return new Map(
      rows.map(({ device, seq, prev, at_ms, body, signature }) => [
        device as EvmAddress,
        {
          seq,
          prev: prev as `0x${string}`,
          atMs: at_ms,
          body: body as `0x${string}`,
          signature: signature as `0x${string}`,
        },
      ]),
    )
  }

  /** Signs what the rollout now says, stores both together, and tells the devices that there is something. */
  const move = async (
    row: RolloutRow,
    change: Partial<Pick<RolloutRow, 'status' | 'phase'>>,
  ): Promise<RolloutRow> => {
    const next = { ...row, ...change, order_version: row.order_version + 1 }
    const seed = await needs.keys.get(row.vendor, 'tuf-online')
    if (seed === undefined) throw new Error(`vendor ${row.vendor} has no online key`)
    const unsigned = rolloutOrder(clock, {
      root: row.release,
      version: next.order_version,
      policy: policyOf(row),
      place: next,
      witnesses: JSON.parse(row.witnesses) as EvmAddress[][],
      successes: next.phase === 0 ? new Map() : await successesOf(row, next.phase - 1),
      isResumed: row.status === 'held',
    })
    const order = signRolloutOrder(unsigned, createTufSigner(seed))
    const values = {
      ...change,
      order_version: next.order_version,
      order_json: JSON.stringify(order),
      order_expires_s: order.expiresS,
      changed_ms: clock.nowMs(),
    }
    // Of two gateways that move at once one wins; the other looks again at its next turn.
    const moved = await db
      .updateTable('rollouts')
      .set(values)
      .where('release', '=', row.release)
      .where('order_version', '=', row.order_version)
      .returningAll()
      .executeTakeFirst()
    if (moved === undefined) return (await find(row.release)) ?? row
    log.info({ release: row.release, action: order.action, phase: order.phase }, 'rollout order')
    const release = await db
      .selectFrom('releases')
      .selectAll()
      .where('id', '=', row.release)
      .executeTakeFirstOrThrow()
    await announce(needs, release, clock.nowMs())
    return moved
  }

  const decideNow = async (release: string): Promise<void> => {
    const row = await find(release)
    if (row === undefined) return
    const decision = decideRollout(policyOf(row), placeOf(row), await countsOf(row), clock.nowMs())
    switch (decision.move) {
      case 'stay':
        if (row.status !== 'created' && isStale(row)) await move(row, {})
        return
      case 'open':
        await move(row, { phase: decision.phase })
        return
      case 'ask':
        await move(row, { status: 'waiting-approval' })
        return
      case 'roll-back':
        await move(row, { status: 'rolled-back' })
        return
      case 'hold':
        await move(row, { status: 'held' })
    }
  }

  /** One that was stored with its release has no order yet, which counts as stale, too. */
  const isStale = ({ order_expires_s }: RolloutRow) =>
    order_expires_s - unixSeconds(clock) < ROLLOUT_ORDER_LIFETIME_S / 2

  const decide = (release: string): Promise<void> => {
    const mine = turn.then(() => decideNow(release))
    turn = mine.catch((thrown: unknown) => {
      log.error({ release, error: asError(thrown) }, 'a rollout was not decided')
    })
    return mine
  }

  const tick = async (): Promise<void> => {
    const rows = await db
      .selectFrom('rollouts')
      .innerJoin('releases', 'releases.id', 'rollouts.release')
      .select('release')
      .where('releases.state', 'in', ['published', 'superseded'])
      .execute()
    for (const { release } of rows) await decide(release)
  }

  const again = () => {
    cancel = clock.after(ROLLOUT_TICK_MS, () => {
      turn = turn.then(tick).catch((thrown: unknown) => {
        log.error({ error: asError(thrown) }, 'the rollouts were not looked over')
      })
      if (!isStopped) again()
    })
  }

  const retry = async (row: RolloutRow): Promise<RolloutRow> => {
    await db
      .updateTable('rollout_devices')
      .set({ is_set_aside: 1 })
      .where('release', '=', row.release)
      .where('is_well', '=', 0)
      .execute()
    return move(row, { status: 'running' })
  }

  const approve = async (row: RolloutRow): Promise<RolloutRow> => {
    const phases = policyOf(row).phases
    const current = phases[row.phase]
    const counts = (await countsOf(row))[row.phase]
    if (current === undefined || row.phase + 1 >= phases.length || !isProven(current, counts)) {
      throw wrong('the phase has not enough success reports for the next one')
    }
    return move(row, { status: 'running', phase: row.phase + 1 })
  }

  return {
    async create(release, what) {
      const policy = await policyIn(needs, release)
      const isTheLists =
        what.witnesses.length === policy.phases.length &&
        policy.phases.every(({ witnesses: { count, sha256 } }, phase) => {
          const given = what.witnesses[phase] ?? []
          return given.length === count && witnessesDigest(given) === sha256
        })
      if (!isTheLists) {
        throw new ProblemError('rollout-invalid', 'the witnesses are not those of the policy', {
          fix: 'Send the lists that "ioex firmware publish --rollout" signed the digests of.',
        })
      }
      const { witnesses, approval } = what
      const inserted = await storeRollout(
        db,
        release,
        { policy, witnesses, approval, status: 'created' },
        clock.nowMs(),
      )
      if (inserted === undefined) {
        throw new ProblemError('rollout-exists', 'the release has a rollout already', {
          fix: 'Look at it, and pause, resume or abort it.',
        })
      }
      return what.start ? move(inserted, { status: 'running' }) : inserted
    },
    async act(row, action) {
      const from = FROM[action]
      if (!from.includes(row.status)) {
        throw wrong(`a rollout that is ${row.status} cannot ${action}`)
      }
      switch (action) {
        case 'start':
        case 'resume':
          return move(row, { status: 'running' })
        case 'pause':
          return move(row, { status: 'held' })
        case 'abort':
          return move(row, { status: 'aborted' })
        case 'retry':
          return retry(row)
        case 'approve':
          return approve(row)
        case 'rollback':
          if (policyOf(row).rollbackTo !== null) return move(row, { status: 'rolled-back' })
          throw wrong('the vendor has signed no release to go back to')
      }
    },
    async show(row) {
      const policy = policyOf(row)
      const counts = await countsOf(row)
      const { model, version } = await db
        .selectFrom('releases')
        .select(['model', 'version'])
        .where('id', '=', row.release)
        .executeTakeFirstOrThrow()
      return {
        release: row.release,
        model,
        version,
        status: row.status,
        phase: row.phase,
        approval: row.approval,
        rollbackTo: policy.rollbackTo,
        phases: policy.phases.map(({ buckets, notBeforeS, minSample, witnesses }, phase) => ({
          buckets,
          notBefore: timeOf(notBeforeS * 1000),
          minSample,
          witnesses: witnesses.count,
          confirmed: counts[phase]?.confirmed ?? 0,
          failed: counts[phase]?.failed ?? 0,
        })),
        changedAt: timeOf(row.changed_ms),
      }
    },
    async order(release, vendor, have) {
      const row = await db
        .selectFrom('rollouts')
        .select(['order_json', 'order_version'])
        .where('release', '=', release)
        .where('vendor', '=', vendor)
        .executeTakeFirst()
      if (row === undefined || row.order_json === null || row.order_version <= have)
        return undefined
      return RolloutOrderSchema.parse(JSON.parse(row.order_json))
    },
    async ended(into, { release, device, seq, isWell }) {
      const row = await find(release, into)
      if (row === undefined) return
      const id = device as EvmAddress
      const bucket = rolloutBucket(CID.parse(release), id)
      const phase = phaseOfBucket(policyOf(row), bucket)
      if (phase === undefined) return
      const lists = JSON.parse(row.witnesses) as EvmAddress[][]
      const values = {
        phase,
        seq,
        is_well: isWell ? 1 : 0,
        is_witness: lists[phase]?.includes(id) === true ? 1 : 0,
        is_set_aside: 0,
      }
      await into
        .insertInto('rollout_devices')
        .values({ release, device, ...values })
        .onConflict((conflict) => conflict.columns(['release', 'device']).doUpdateSet(values))
        .execute()
    },
    decide,
    start() {
      isStopped = false
      again()
    },
    async stop() {
      isStopped = true
      cancel()
      await turn
    },
  }
}

/** From which states each action leads somewhere. */
const FROM: Readonly<Record<RolloutAction, readonly RolloutRow['status'][]>> = {
  start: ['created'],
  pause: ['running', 'waiting-approval'],
  resume: ['held'],
  approve: ['waiting-approval'],
  retry: ['held'],
  abort: ['created', 'running', 'waiting-approval', 'held'],
  rollback: ['running', 'waiting-approval', 'held', 'aborted'],
}

function placeOf({ status, phase, approval }: RolloutRow) {
  return { status, phase, approval }
}

function policyOf(row: Pick<RolloutRow, 'policy'>): RolloutPolicy {
  return RolloutPolicySchema.parse(JSON.parse(row.policy))
}

/** As the vendor's metadata has it: nothing else would count on a device. */
async function policyIn({ db }: Pick<Needs, 'db'>, release: ReleaseRow): Promise<RolloutPolicy> {
  const files = await db
    .selectFrom('tuf_files')
    .select(['name', 'bytes'])
    .where('vendor', '=', release.vendor)
    .execute()
  const metadata = newestMetadata(
    files.map(({ name, bytes }) => ({ name, bytes: new Uint8Array(bytes) })),
  )
  const targets = metadata === undefined ? [] : releasesOf(metadata, release.model)
  const policy = targets.find(({ root }) => root.toString() === release.id)?.rollout
  if (policy !== undefined) return policy
  throw new ProblemError('rollout-invalid', 'the release was published without a rollout', {
    fix: 'Publish it with --rollout FILE.json; every device may take this one at once.',
  })
}

function wrong(what: string): ProblemError {
  return new ProblemError('rollout-state-wrong', what, {
    fix: 'Look at the rollout: ioex firmware rollout show RELEASE',
  })
}
