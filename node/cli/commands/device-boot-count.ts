import { defineCommand } from '../command.ts'
import { startControl } from '../control.ts'
import { ExitCode } from '../exit-codes.ts'
import { homeFolder, homeOption, homePaths } from '../home.ts'

export const command = defineCommand({
  about:
    'Count this boot of a release that is not confirmed yet, from a boot script; ends with 3 when the release before has to be booted.',
  examples: ['ioex device boot-count; if [ $? -eq 3 ]; then fw_setenv slot a && reboot; fi'],
  options: { home: homeOption },
  next: 'ioex device status',
  async run({ options, say, system }) {
    const home = homeFolder(options.home, system.env)
    const { countThisBoot } = await import('../../device/index.ts')
    // Only one program at a time writes what the agent remembers.
    const control = await startControl(home, {})
    try {
      const { boots, isOver } = await countThisBoot(homePaths(home).device)
      say.result({
        json: { boots, fallBack: isOver },
        text: isOver
          ? 'The new release was never confirmed: boot the one before.'
          : boots === 0
            ? 'No release is being tried.'
            : `Boot ${boots} of a release that is not confirmed yet.`,
        id: String(boots),
      })
      return isOver ? ExitCode.partly : undefined
    } finally {
      await control.stop()
    }
  },
})
