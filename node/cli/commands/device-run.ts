import { defineCommand } from '../command.ts'
import { runDevice } from '../device-run.ts'
import { homeOption } from '../home.ts'
import { passphraseOption } from '../home-keystore.ts'
import { installerOptions } from '../installer-options.ts'
import { duration, flag, hostAndPort, many, value, withDefault } from '../options.ts'
import { uploadOptions } from '../upload-options.ts'

export const command = defineCommand({
  about: "Fetch the newest release of this device's model from peers, verify and install it.",
  examples: [
    'ioex device run --slot-dir /var/lib/device',
    'ioex device run --once --json',
    `ioex device run --install-command 'flash-image "$IOEX_IMAGE"' --health-command 'systemctl is-system-running'`,
  ],
  options: {
    home: homeOption,
    passphraseFile: passphraseOption,
    once: flag('--once', 'one round, then end; else it goes on until it is stopped'),
    follow: flag('--follow', 'with --once --json: progress as JSON lines, the result last'),
    ...installerOptions,
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
    giveUpAfter: value(
      '--give-up-after TIME',
      'without any progress for so long a source is looked for anew',
      duration,
    ),
  },
  next: 'ioex device status',
  run: (call) => runDevice(call),
})
