import { agentOptions } from '../agent-options.ts'
import { defineCommand } from '../command.ts'
import { runDevice } from '../device-run.ts'
import { homeOption } from '../home.ts'
import { passphraseOption } from '../home-keystore.ts'
import { installerOptions, installerOptionsOf } from '../installer-options.ts'
import { flag } from '../options.ts'

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
    ...agentOptions,
  },
  next: 'ioex device status',
  run: (call) =>
    runDevice(call, async ({ slots }) => {
      const { createInstaller } = await import('../../device/index.ts')
      const { clock } = call.system
      return { installer: createInstaller({ slots, clock }, installerOptionsOf(call.options)) }
    }),
})
