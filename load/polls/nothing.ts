/**
 * A Hono application that does nothing but say so, behind the listener of the gateway: what no route of it can be faster than.
 * Prints its address; ends with its parent.
 */
import { systemClock } from '@ioex/node/base'
import { listen } from '@ioex/gateway/testing'
import { Hono } from 'hono'

const app = new Hono().get('/nothing', (c) => c.json({ ok: true }))
const listener = await listen({ clock: systemClock }, app, { host: '127.0.0.1', port: 0 })
process.stdout.write(`${listener.url}\n`)
process.stdin.resume().once('end', () => process.exit(0))
