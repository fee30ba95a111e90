import type { MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Clock } from '@ioex/node/base'
import type { AppEnv } from '../env.ts'
import type { Store } from '../store/open.ts'

export interface Metrics {
  readonly registry: Registry
  readonly measure: MiddlewareHandler<AppEnv>
  /** A poll was answered from memory, in microseconds. */
  readonly recalled: () => void
  /** Another poll was answered, in so many seconds. */
  readonly polled: (seconds: number) => void
  readonly receivedBytes: Counter
  readonly releasesPublished: Counter
  readonly receiptsStored: Counter
  readonly eventListeners: Gauge
}

const POLL_LABELS = { route: '/v1/devices/me/poll', method: 'GET', status: 200 }

export function createMetrics(needs: {
  readonly clock: Clock
  readonly store: Pick<Store, 'writes'>
}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Histogram({
    name: 'ioex_gateway_request_seconds',
    help: 'Time to the head of the answer, by route, method and status',
    labelNames: ['route', 'method', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  })
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the gateway',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  let recalled = 0
  new Counter({
    name: 'ioex_gateway_polls_recalled_total',
    help: 'Polls that were answered from memory; they are in no other figure',
    registers,
    collect() {
      this.reset()
      this.inc(recalled)
    },
  })
  if (needs.store.writes !== undefined) {
    const { writes } = needs.store
    new Counter({
      name: 'ioex_gateway_write_transactions_total',
      help: 'Transactions of the database that changed something',
      registers,
      collect() {
        this.reset()
        this.inc(writes.transactions)
      },
    })
  }
  return {
    registry,
    recalled: () => {
      recalled++
    },
    polled: (seconds) => requests.observe(POLL_LABELS, seconds),
    receivedBytes: new Counter({
      name: 'ioex_gateway_received_bytes_total',
      help: 'Bytes of images and blocks received from vendors',
      registers,
    }),
    releasesPublished: new Counter({
      name: 'ioex_gateway_releases_published_total',
      help: 'Releases that reached their copies',
      registers,
    }),
    receiptsStored: new Counter({
      name: 'ioex_gateway_receipts_stored_total',
      help: 'Receipts stored, new or higher than before',
      registers,
    }),
    eventListeners: new Gauge({
      name: 'ioex_gateway_event_listeners',
      help: 'Open streams of server-sent events',
      registers,
    }),
    measure: async (c, next) => {
      const startMs = needs.clock.monotonicMs()
      await next()
      // The pattern, not the path: ids in labels would make a series each.
      const labels = { route: routePath(c, -1), method: c.req.method, status: c.res.status }
      requests.observe(labels, (needs.clock.monotonicMs() - startMs) / 1000)
    },
  }
}
