import { createDdiFace } from '@ioex/node/ddi'
import type { Parts } from '../context.ts'
import { createGatewayFleet } from '../ddi/fleet.ts'
import type { AppContext } from '../env.ts'
import { DEVICE_POLL_S } from '../limits.ts'
import { createAppPart } from './app-part.ts'

/** What clients of hawkBit are told as its URL, behind the gateway's own. */
export const DDI_PATH = '/ddi'

/**
 * hawkBit's DDI at `/ddi/{vendor}/controller/v1/{controllerId}`. Its calls are hawkBit's and documented there,
 * so that they do not stand in `/openapi.json`.
 */
export function ddiRoutes(parts: Parts) {
  const face = createDdiFace(
    { fleet: createGatewayFleet(parts), log: parts.log },
    { basePath: DDI_PATH, pollS: DEVICE_POLL_S },
  )
  return createAppPart().all(`${DDI_PATH}/*`, (c) =>
    face.answer(c.req.raw, { source: c.get('source'), origin: originOf(c, parts) }),
  )
}

/** Scheme and host as the client wrote them, for links that it can follow. */
export function originOf(c: AppContext, { options }: Pick<Parts, 'options'>): string {
  const { protocol, host } = new URL(c.req.url)
  const forwarded = options.trustProxy ? c.req.header('x-forwarded-proto')?.trim() : undefined
  const scheme = forwarded === 'https' || forwarded === 'http' ? `${forwarded}:` : protocol
  return `${scheme}//${host}`
}
