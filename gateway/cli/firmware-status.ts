import { type Release, ReleasePageSchema } from '@ioex/node/api'
import { defineCommand, formatBytes, formatTable, homeOption, text } from '@ioex/node/cli'
import { callerOf } from './gateway-caller.ts'
import { openHomeOf } from './vendor-home.ts'

export const command = defineCommand({
  about: 'Show the releases, where they are and what devices do with them.',
  examples: ['ioex firmware status', 'ioex firmware status --model pump-s3 --json'],
  options: {
    home: homeOption,
    model: text('--model M', 'of this model only'),
  },
  async run({ options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const { items, next } = await callerOf(system, settings).json(
      {
        method: 'GET',
        path: `/v1/vendors/${settings.vendor}/releases`,
        query: { model: options.model, limit: 100 },
        signal,
      },
      ReleasePageSchema,
    )
    const lines =
      items.length === 0
        ? 'No firmware yet. Publish your first: ioex firmware publish FILE --model M --version V'
        : formatTable([
            ['MODEL', 'VERSION', 'STATE', 'COPIES', 'RUNNING', 'FAILED', 'WAITING', 'SIZE'],
            ...items.map(rowOf),
          ])
    say.result({
      json: { items, next },
      text: next === null ? lines : `${lines}\nThere are more; the console shows all.`,
      id: items.map(({ id }) => id).join('\n'),
    })
    return undefined
  },
})

function rowOf(release: Release): string[] {
  const { devices } = release
  const underWay = devices.waiting + devices.downloading + devices.written
  return [
    release.model,
    release.version,
    release.state,
    `${release.copies} of ${release.copiesWanted}`,
    String(devices.confirmed),
    String(devices.failed + devices.fellBack),
    String(underWay),
    formatBytes(release.sealedBytes),
  ]
}
