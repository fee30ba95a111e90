import type { GatewayClient } from '../api/index.ts'
import { type AbortOptions, asError, type Clock, type Log } from '../base/index.ts'
import type { FollowedOrder, TrustedReleases } from '../firmware/index.ts'
import type { Identity } from '../identity/index.ts'
import { createRolloutGuard } from './rollout-guard.ts'
import type { OfferStanding } from './stock-clients.ts'
import type { DeviceState, InstalledRelease } from './types.ts'

export interface OfferGuardNeeds {
  readonly identity: Pick<Identity, 'evmAddress'>
  readonly api: Pick<GatewayClient, 'rolloutOrder'>
  readonly releases: Pick<TrustedReleases, 'refresh' | 'current'>
  /** Of the agent. */
  readonly status: () => Pick<DeviceState, 'installed' | 'orders'>
  readonly clock: Clock
  readonly log: Log
}

/**
 * A stock client takes its time, and the agent waits for it; meanwhile this hears what becomes of what was offered:
 * held by its rollout, or taken back with it or by the vendor.
 */
export function createOfferGuard(
  needs: OfferGuardNeeds,
  options: { readonly model: string; readonly groups: readonly string[] },
): (offered: InstalledRelease, abort: AbortOptions) => Promise<OfferStanding> {
  const { releases, status, log } = needs
  /** Newer than what the agent has followed, for as long as it waits. */
  let heard: readonly FollowedOrder[] = []
  const guard = createRolloutGuard(
    {
      ...needs,
      emit: () => undefined,
      state: {
        get now() {
          const { installed, orders } = status()
          const isHeard = ({ root }: FollowedOrder) => heard.some((order) => order.root === root)
          return { installed, orders: [...orders.filter((order) => !isHeard(order)), ...heard] }
        },
        save({ orders }) {
          heard = orders
          return Promise.resolve()
        },
      },
    },
    options,
  )

  const isWithdrawn = async ({ root }: InstalledRelease, abort: AbortOptions) => {
    try {
      const refreshed = await releases.refresh(abort)
      if (!refreshed.ok) return false
      return !releases.current(options.model).some((one) => one.root.toString() === root)
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      log.info({ error: asError(thrown) }, 'metadata could not be had; what was offered stays')
      return false
    }
  }

  return async (offered, abort) => {
    if (await isWithdrawn(offered, abort)) return 'taken-back'
    const { installed } = status()
    // The way back was allowed by an order that nothing leads out of.
    if (installed !== null && offered.sequence < installed.sequence) return 'may-install'
    const permission = await guard.ask(offered, abort)
    if (permission.verdict === 'install') return 'may-install'
    const hasEnded =
      permission.verdict === 'roll-back' ||
      permission.reason === 'rollout-aborted' ||
      permission.reason === 'rollout-rolled-back'
    return hasEnded ? 'taken-back' : 'is-held'
  }
}
