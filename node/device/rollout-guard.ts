import { CID } from 'multiformats/cid'
import { ApiError, type GatewayClient } from '../api/index.ts'
import type { AbortOptions, Clock, Log } from '../base/index.ts'
import {
  acceptRolloutOrder,
  type FollowedOrder,
  judgeRollout,
  type OrderRefusal,
  type RolloutPolicy,
  type RolloutVerdict,
} from '../firmware/index.ts'
import type { Identity } from '../identity/index.ts'
import type { DeviceEvent } from './events.ts'
import { ORDERS_REMEMBERED } from './limits.ts'
import type { StateFile } from './state-file.ts'
import type { Target, WaitReason } from './types.ts'

export interface RolloutGuardNeeds {
  readonly identity: Pick<Identity, 'evmAddress'>
  readonly api: Pick<GatewayClient, 'rolloutOrder'>
  readonly state: StateFile
  readonly clock: Pick<Clock, 'nowMs'>
  readonly log: Log
  readonly emit: (event: DeviceEvent) => void
}

type Permission =
  | { readonly verdict: 'install' }
  | { readonly verdict: 'wait'; readonly reason: WaitReason }
  | { readonly verdict: 'roll-back'; readonly to: string }

/** Asks for each release with a rollout whether its turn has come here, before it is fetched and before it runs. */
export interface RolloutGuard {
  /** Hears the newest order first, as far as the gateway can be reached. */
  ask(target: Target, abort?: AbortOptions): Promise<Permission>
  /** By what was heard before. */
  known(target: Target): Permission
}

type Part = Pick<Target, 'root'> & { readonly rollout: RolloutPolicy }

export function createRolloutGuard(
  needs: RolloutGuardNeeds,
  options: { readonly groups?: readonly string[] },
): RolloutGuard {
  const { state, clock, log } = needs
  const orderFor = (root: string): FollowedOrder | null =>
    state.now.orders.find((order) => order.root === root) ?? null

  const judge = ({ root, rollout }: Part): RolloutVerdict =>
    judgeRollout({
      root: CID.parse(root),
      policy: rollout,
      order: orderFor(root),
      device: needs.identity.evmAddress,
      groups: options.groups ?? [],
      runs: state.now.installed?.root === root,
      nowMs: clock.nowMs(),
    })

  /** Durable before anything is done by it, so that no older one is followed after a crash. */
  const follow = async (order: FollowedOrder): Promise<void> => {
    const before = orderFor(order.root)
    if (before?.version === order.version) return
    const others = state.now.orders.filter(({ root }) => root !== order.root)
    await state.save({ orders: [...others, order].slice(-ORDERS_REMEMBERED) })
    log.info({ root: order.root, action: order.action, phase: order.phase }, 'a rollout order')
  }

  const hear = async (part: Part, abort: AbortOptions): Promise<OrderRefusal | undefined> => {
    const followed = orderFor(part.root)
    let json: unknown
    try {
      json = await needs.api.rolloutOrder(part.root, followed?.version ?? 0, abort)
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      if (!(thrown instanceof ApiError)) throw thrown
      log.info({ root: part.root, error: thrown }, 'no rollout order could be had')
      return undefined
    }
    if (json === undefined) return undefined
    const accepted = acceptRolloutOrder(json, {
      root: CID.parse(part.root),
      policy: part.rollout,
      followed,
      nowMs: clock.nowMs(),
    })
    if (accepted.ok) {
      await follow(accepted.value)
      return undefined
    }
    log.warn({ root: part.root, reason: accepted.reason }, 'a rollout order was refused')
    needs.emit({ name: 'order-refused', root: part.root, reason: accepted.reason })
    return accepted.reason
  }

  return {
    async ask({ root, rollout }, abort = {}) {
      if (rollout === undefined) return { verdict: 'install' }
      const refusal = await hear({ root, rollout }, abort)
      const verdict = judge({ root, rollout })
      // What was followed before still holds; why nothing newer does is what a person has to know.
      if (verdict.verdict !== 'wait' || refusal === undefined) return verdict
      return { verdict: 'wait', reason: refusal }
    },
    known: ({ root, rollout }) =>
      rollout === undefined ? { verdict: 'install' } : judge({ root, rollout }),
  }
}
