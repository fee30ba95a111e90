import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Bearer } from './store/tokens.ts'

/** What Hono carries through a request. */
export interface AppEnv {
  Bindings: Partial<HttpBindings>
  Variables: {
    requestId: string
    /** Where the request came from, for rate limits. */
    source: string
    bearer: Bearer | undefined
  }
}

export type AppContext = Context<AppEnv>
