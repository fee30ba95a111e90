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
      summary: 'who signs for what, and until when it is good',
      load: () => import('./vendor-keys.ts'),
    },
    {
      name: 'keys create',
      summary: 'make the key of one holder',
      load: () => import('./keys-create.ts'),
    },
    {
      name: 'keys change',
      summary: 'who may sign for a role, how many have to, which keys are revoked',
      load: () => import('./keys-change.ts'),
    },
    {
      name: 'keys sign',
      summary: 'sign what another holder has sent',
      load: () => import('./keys-sign.ts'),
    },
    {
      name: 'keys submit',
      summary: 'hand in what enough holders have signed',
      load: () => import('./keys-submit.ts'),
    },
    {
      name: 'keys renew',
      summary: 'sign everything again before it expires',
      load: () => import('./keys-renew.ts'),
    },
  ],
})
