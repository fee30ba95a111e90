import { OpenAPIHono } from '@hono/zod-openapi'
import type { AppEnv } from '../env.ts'
import { refuseInvalid } from '../middleware/problem.ts'

/** An empty part of the application: whatever zod refuses in it becomes a problem document. */
export function createAppPart(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({ defaultHook: refuseInvalid })
}
