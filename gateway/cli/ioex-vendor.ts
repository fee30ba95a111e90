#!/usr/bin/env node
import { runAsBin } from '@ioex/node/cli'
import { API_VERSION } from '../version.ts'

await runAsBin({
  name: 'ioex vendor',
  summary: 'Vendors of firmware and their keys',
  version: API_VERSION,
  catalogue: [
    {
      name: 'create',
      summary: 'register a vendor',
      load: () => import('./vendor-create.ts'),
    },
    {
      name: 'keys',
      summary: 'where the keys are, and renewing what they signed',
      load: () => import('./vendor-keys.ts'),
    },
  ],
})
