import type { Parts } from '../context.ts'
import { addressRoutes } from './addresses.ts'
import { createAppPart } from './app-part.ts'
import { billingRoutes } from './billing.ts'
import { deviceCallRoutes } from './device-calls.ts'
import { deviceReportRoutes } from './device-reports.ts'
import { deviceRoutes } from './devices.ts'
import { enrollmentRoutes } from './enrollments.ts'
import { ipfsRoutes } from './ipfs.ts'
import { networkRoutes } from './network.ts'
import { ownReleaseRoutes } from './own-releases.ts'
import { receiptRoutes } from './receipts.ts'
import { rolloutRoutes } from './rollouts.ts'
import { releaseRoutes } from './releases.ts'
import { systemRoutes } from './system.ts'
import { tokenRoutes } from './tokens.ts'
import { tufRoutes } from './tuf.ts'
import { uploadRoutes } from './uploads.ts'
import { vendorRoutes } from './vendors.ts'

/** All routes; calls of a device stand before `/v1/devices/{id}`, which would take them for ids. */
export function routesOf(parts: Parts) {
  return createAppPart()
    .route('/', systemRoutes(parts))
    .route('/', vendorRoutes(parts))
    .route('/', tokenRoutes(parts))
    .route('/', uploadRoutes(parts))
    .route('/', releaseRoutes(parts))
    .route('/', ownReleaseRoutes(parts))
    .route('/', addressRoutes(parts))
    .route('/', rolloutRoutes(parts))
    .route('/', enrollmentRoutes(parts))
    .route('/', deviceCallRoutes(parts))
    .route('/', deviceReportRoutes(parts))
    .route('/', deviceRoutes(parts))
    .route('/', receiptRoutes(parts))
    .route('/', billingRoutes(parts))
    .route('/', networkRoutes(parts))
    .route('/', tufRoutes(parts))
    .route('/', ipfsRoutes(parts))
}

export type Routes = ReturnType<typeof routesOf>
