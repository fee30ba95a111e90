import { join } from 'node:path'
import { createLog, type Startable, tuneForSmallMemory } from '../../base/index.ts'
import { defineCommand } from '../command.ts'
import { startControl } from '../control.ts'
import { createDeviceDisplay } from '../device-display.ts'
import { exitCodeOf, notEnrolled, outcomeJson } from '../device-run.ts'
import { homeFolder, homeOption, homePaths } from '../home.ts'
import { openHomeKeystore, passphraseOption } from '../home-keystore.ts'
import { installerOptions, installerOptionsOf, slotsOf } from '../installer-options.ts'
import { argument } from '../options.ts'

export const command = defineCommand({
  about:
    'Verify a release in one file and install it, without any network; made by "ioex firmware export".',
  examples: [
    'ioex device install /media/stick/pump-1.5.0.car --slot-dir /var/lib/device',
    'ioex device install pump-1.5.0.car --json',
  ],
  args: { file: argument('FILE.car', 'the release, its metadata and its keys') },
  options: { home: homeOption, passphraseFile: passphraseOption, ...installerOptions },
  next: 'ioex device status',
  async run({ args, options, say, system, signal, debug }) {
    tuneForSmallMemory()
    const { clock } = system
    const home = homeFolder(options.home, system.env)
    const folder = homePaths(home).device
    const device = await import('../../device/index.ts')
    const membership = await device.readMembership(folder)
    if (membership === undefined) throw notEnrolled(home)
    const log = createLog({ name: 'ioex-device', level: debug ? 'debug' : 'error' })
    const display = createDeviceDisplay(say, { follows: false, clock, fromFile: true })
    const parts: Pick<Startable, 'stop'>[] = []
    try {
      // First of all, as it is what keeps an agent out of this home meanwhile.
      parts.unshift(await startControl(home, {}))
      const { identity } = await openHomeKeystore({ ...options, home, system })
      const { createStorage } = await import('../../storage/index.ts')
      const storage = createStorage(
        { clock, log },
        { folder: join(home, 'storage'), quotaBytes: options.space },
      )
      parts.unshift(storage)
      await storage.start()
      const slots = slotsOf(options, { device, clock, log, folder: join(folder, 'slots') })
      const checking = say.progress({ label: 'Checking the file', unit: 'bytes' })
      const outcome = await device.installFile(
        {
          identity,
          storage,
          slots,
          installer: device.createInstaller({ slots, clock }, installerOptionsOf(options)),
          clock,
          log,
          onEvent: display.show,
        },
        {
          folder,
          enrollment: membership.enrollment,
          file: args.file,
          signal,
          onChecked: (done, total) => checking.update({ done, total }),
        },
      )
      const { installed, reportsPending } = outcome
      const runs = installed === null ? 'Nothing is installed' : `Running ${installed.version}`
      const told =
        reportsPending === 0
          ? ''
          : ` ${reportsPending} reports wait for the next "ioex device run" with a network.`
      say.result({
        json: outcomeJson(membership, outcome),
        text: `${runs}${TEXTS[outcome.outcome]}${told}`,
        id: installed?.version ?? 'none',
      })
      return exitCodeOf(outcome)
    } finally {
      display.stop()
      for (const part of parts) await part.stop()
    }
  },
})

const TEXTS = {
  'up-to-date': '; the file holds nothing newer.',
  updated: ', confirmed.',
  'fell-back': ' again: the new release did not pass its check.',
  waiting: '.',
}
