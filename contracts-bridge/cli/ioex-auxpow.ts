#!/usr/bin/env node
import { runAsBin } from '@ioex/node/cli'

await runAsBin({
  name: 'ioex auxpow',
  summary: 'Proofs of merged mining',
  version: '0.1.0',
  catalogue: [
    {
      name: 'verify',
      summary: 'check a block that was mined with Bitcoin’s work',
      load: () => import('./auxpow-verify.ts'),
    },
  ],
})
