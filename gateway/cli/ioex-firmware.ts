#!/usr/bin/env node
import { runAsBin } from '@ioex/node/cli'
import { API_VERSION } from '../version.ts'

await runAsBin({
  name: 'ioex firmware',
  summary: 'Publishing firmware',
  version: API_VERSION,
  catalogue: [
    {
      name: 'publish',
      summary: 'publish an image to the devices of a model',
      load: () => import('./firmware-publish.ts'),
    },
    {
      name: 'status',
      summary: 'releases, copies and devices',
      load: () => import('./firmware-status.ts'),
    },
    {
      name: 'rollout',
      summary: 'see, pause, resume, approve or end rollouts',
      load: () => import('./firmware-rollout.ts'),
    },
    {
      name: 'export',
      summary: 'put a release into one file, for devices without a network',
      load: () => import('./firmware-export.ts'),
    },
    {
      name: 'wrap',
      summary: 'give later devices the key of a release',
      load: () => import('./firmware-wrap.ts'),
    },
  ],
})
