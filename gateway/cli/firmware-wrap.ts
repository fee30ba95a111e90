import { ReleasePageSchema } from '@ioex/node/api'
import { defineCommand, homeOption } from '@ioex/node/cli'
import { callerOf } from './gateway-caller.ts'
import { openHomeOf } from './vendor-home.ts'
import { sendWraps, wrapAll } from './wrapping.ts'

export const command = defineCommand({
  about: 'Give devices that enrolled after a release its key; only vendors with own keys need it.',
  examples: ['ioex firmware wrap', 'ioex firmware wrap --json'],
  options: { home: homeOption },
  async run({ options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const http = callerOf(system, settings)
    const { items } = await http.json(
      {
        method: 'GET',
        path: `/v1/vendors/${settings.vendor}/releases`,
        query: { state: 'published', limit: 100 },
        signal,
      },
      ReleasePageSchema,
    )
    let devices = 0
    for (const { id } of items) {
      const releaseKey = await home.releaseKey(id)
      if (releaseKey === undefined) continue
      const wraps = await wrapAll({ http, signal }, releaseKey, {
        path: `/v1/releases/${id}/recipients`,
      })
      await sendWraps({ http, signal }, id, wraps)
      devices += wraps.reduce((sum, wrap) => sum + wrap.devices.length, 0)
    }
    say.result({
      json: { devices },
      text: devices === 0 ? 'Every device has its keys.' : `Gave ${devices} devices their keys.`,
    })
    return undefined
  },
})
