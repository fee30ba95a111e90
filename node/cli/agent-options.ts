import { duration, flag, hostAndPort, many, value, withDefault } from './options.ts'
import { policyOptions, type PolicyValues } from './policy-options.ts'
import { uploadOptions, type UploadValues } from './upload-options.ts'

/** Of the commands that fetch releases from peers and serve them on. */
export const agentOptions = {
  keepBlocks: flag(
    '--keep-blocks',
    'keep the sealed blocks of what is installed, to serve them after a restart, too',
  ),
  listen: many(
    '--listen MULTIADDR',
    'where others that fetch the same release reach this device; any free port when left out',
  ),
  httpListen: withDefault(
    value(
      '--http-listen HOST:PORT',
      'where they show their grants, and fetch over HTTP',
      hostAndPort,
    ),
    { host: '0.0.0.0', port: 0 },
  ),
  group: many('--group NAME', 'a group that this device is in; a rollout may be for some only'),
  fetchOnly: flag('--fetch-only', 'serve nobody, and listen nowhere'),
  lan: withDefault(
    flag('--no-lan', 'neither look for such others on the local network nor be found there'),
    true,
  ),
  ...uploadOptions,
  ...policyOptions,
  giveUpAfter: value(
    '--give-up-after TIME',
    'without any progress for so long a source is looked for anew',
    duration,
  ),
}

export interface AgentValues extends UploadValues, PolicyValues {
  readonly keepBlocks: boolean
  readonly listen: readonly string[]
  readonly httpListen: { readonly host: string; readonly port: number }
  readonly group: readonly string[]
  readonly fetchOnly: boolean
  readonly lan: boolean
  readonly giveUpAfter: number | undefined
}
