/**
 * The gateway as one Hono application: every route, checked and documented by the schemas of the room api.
 * Opens no port, so that tests call it with `app.request()`; `serve.ts` puts it behind a listener.
 */
import { routesOf } from './routes/all.ts'
import type { Parts } from './context.ts'
import { identify } from './guards/bearer.ts'
import { limitBody } from './guards/body.ts'
import { refuseUnknownPath, refuseWith } from './middleware/problem.ts'
import { beginRequest, secureAnswers } from './middleware/request.ts'
import { createAppPart } from './routes/app-part.ts'
import { serveConsole } from './routes/console.ts'
import { quickPollRoute } from './routes/device-polls.ts'
import { type ApiDocument, docsPage } from './routes/docs.ts'
import { API_VERSION } from './version.ts'

export function createApp(parts: Parts) {
  const app = createAppPart()
  app.route('/', quickPollRoute(parts))
  app.use(beginRequest(parts))
  app.use(parts.metrics.measure)
  app.use(secureAnswers)
  app.use(limitBody)
  app.use('/v1/*', identify(parts))
  app.use('/ipfs/*', identify(parts))
  const routes = app.route('/', routesOf(parts))
  routes.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description:
      'iox_v_… of a vendor, iox_d_… of a device, iox_o_… of the operator, iox_b_… of the bridge',
  })
  const document = () =>
    routes.getOpenAPI31Document({
      openapi: '3.1.0',
      info: { title: 'ioeX gateway', version: API_VERSION },
    })
  routes.get('/openapi.json', (c) => c.json(document()))
  routes.get('/docs', (c) => c.html(docsPage(document() as unknown as ApiDocument)))
  if (parts.options.consoleFolder !== undefined) {
    routes.use(serveConsole(parts.options.consoleFolder))
  }
  routes.notFound(refuseUnknownPath)
  routes.onError(refuseWith(parts.log))
  return routes
}

export type App = ReturnType<typeof createApp>
