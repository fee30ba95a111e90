/**
 * Puts the gateway together: store, custody, publishing and routes over one embedded node. The node is handed
 * in and stays its owner's; what is made here is stopped here.
 */
import type { Clock, Log, Random, Startable } from '@ioex/node/base'
import { type App, createApp } from './app.ts'
import type { GatewayNode, GatewayOptions, Parts } from './context.ts'
import type { AppEnv } from './env.ts'
import { createVault } from './custody/vault.ts'
import { createVendorKeys } from './custody/vendor-keys.ts'
import { createRateLimiter } from './guards/rate.ts'
import {
  RATE_ANONYMOUS,
  RATE_BLOCKS,
  RATE_DDI,
  RATE_REDEEM,
  RATE_REFUSED_TOKENS,
  RATE_TOKEN,
  type Rate,
} from './limits.ts'
import { createMetrics } from './middleware/metrics.ts'
import { createPolls } from './polls/polls.ts'
import { createHeldSessions } from './publishing/held-sessions.ts'
import { createPublishing } from './publishing/publishing.ts'
import { createReleaseEvents } from './publishing/release-events.ts'
import { createRollouts } from './rollouts/rollouts.ts'
import { recallPolls } from './routes/device-polls.ts'
import type { Store } from './store/open.ts'
import { createTokens, type Tokens } from './store/tokens.ts'

export interface Gateway extends Startable {
  readonly app: App
  /** For `listen`: the application, with the polls of a fleet before it. */
  readonly fetch: (request: Request, env: unknown) => Response | Promise<Response>
  readonly tokens: Tokens
}

export interface GatewayNeeds {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly store: Store
  /** 32 bytes. */
  readonly masterKey: Uint8Array
  readonly node: GatewayNode
}

export function createGateway(needs: GatewayNeeds, options: GatewayOptions): Gateway {
  const { clock, random, log, node } = needs
  const { db } = needs.store
  const scaled = (rate: Rate) =>
    createRateLimiter(needs, {
      perSecond: rate.perSecond * options.rateFactor,
      burst: rate.burst * options.rateFactor,
    })
  const tokens = createTokens(needs, db)
  const vault = createVault(needs, needs.masterKey)
  const shared = {
    clock,
    random,
    log,
    options,
    db,
    vault,
    keys: createVendorKeys({ vault, db }),
    node,
    sessions: createHeldSessions(node.storage.pins),
    releaseEvents: createReleaseEvents(needs),
    metrics: createMetrics(needs),
  }
  const publishing = createPublishing(shared)
  const polls = createPolls(
    { ...shared, store: needs.store },
    { writeEveryMs: options.pollsWrittenEveryMs },
  )
  const rollouts = createRollouts(shared)
  const parts: Parts = {
    ...shared,
    tokens,
    publishing,
    rollouts,
    polls,
    limiters: {
      anonymous: scaled(RATE_ANONYMOUS),
      token: scaled(RATE_TOKEN),
      redeem: scaled(RATE_REDEEM),
      blocks: scaled(RATE_BLOCKS),
      refusedTokens: scaled(RATE_REFUSED_TOKENS),
      ddi: scaled(RATE_DDI),
    },
  }
  const app = createApp(parts)
  return {
    app,
    fetch: recallPolls(parts, (request, env) => app.fetch(request, env as AppEnv['Bindings'])),
    tokens,
    async start() {
      await publishing.start()
      rollouts.start()
    },
    async stop() {
      shared.releaseEvents.stop()
      await rollouts.stop()
      await polls.stop()
      await publishing.stop()
    },
  }
}
