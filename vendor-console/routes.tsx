import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  redirect,
} from '@tanstack/react-router'
import { Billing } from './screens/billing/billing.tsx'
import { Devices } from './screens/devices/devices.tsx'
import { Network } from './screens/network/network.tsx'
import { ReleaseScreen } from './screens/release/release.tsx'
import { Releases } from './screens/releases/releases.tsx'
import { Shell } from './screens/shell.tsx'

interface RouterContext {
  readonly signOut: () => void
}

const root = createRootRouteWithContext<RouterContext>()({ component: Shell })
const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: () => {
    // The router's own way to say it, caught by the router.
    redirect({ to: '/releases', throw: true })
  },
})
const releases = createRoute({ getParentRoute: () => root, path: '/releases', component: Releases })
const release = createRoute({
  getParentRoute: () => root,
  path: '/releases/$id',
  component: function OneRelease() {
    const { id } = release.useParams()
    return <ReleaseScreen key={id} id={id} />
  },
})
const devices = createRoute({ getParentRoute: () => root, path: '/devices', component: Devices })
const billing = createRoute({ getParentRoute: () => root, path: '/billing', component: Billing })
const network = createRoute({ getParentRoute: () => root, path: '/network', component: Network })

export const router = createRouter({
  routeTree: root.addChildren([home, releases, release, devices, billing, network]),
  context: { signOut: () => undefined },
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
