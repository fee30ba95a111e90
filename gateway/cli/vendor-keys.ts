import { VendorSchema } from '@ioex/node/api'
import {
  defineCommand,
  ExitCode,
  formatTable,
  homeOption,
  value,
  wholeNumber,
  withDefault,
} from '@ioex/node/cli'
import { expiriesOf, lineKeysOf, type RoleKeys, rolesOf } from '@ioex/node/firmware'
import { callerOf } from './gateway-caller.ts'
import { ownMetadata } from './signing.ts'
import { openHomeOf } from './vendor-home.ts'

const DAY_MS = 86_400_000
const LINE = 'line-'

export const command = defineCommand({
  about:
    'Show who signs for what and until when it is good; ends with 3 when something has to be renewed soon, with 1 when it is too late.',
  examples: ['ioex vendor keys', 'ioex vendor keys --within 60 --json'],
  options: {
    home: homeOption,
    within: withDefault(
      value('--within DAYS', 'what counts as soon (30)', wholeNumber(1, 3_650)),
      30,
    ),
  },
  async run({ options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const { vendor, custody, gateway } = settings
    if (custody === 'managed') {
      const http = callerOf(system, settings)
      const path = `/v1/vendors/${vendor}`
      const { renewBy } = await http.json({ method: 'GET', path, signal }, VendorSchema)
      say.result({
        json: { vendor, custody, gateway, renewBy },
        text: `The gateway ${gateway} keeps the keys of ${vendor}, encrypted, and can sign in its name; it renews its metadata by itself.`,
        id: vendor,
      })
      return undefined
    }
    const metadata = await ownMetadata(home, settings)
    const nowMs = system.clock.nowMs()
    const { root, targets } = rolesOf(metadata)
    const roles = expiriesOf(metadata).map(({ role, version, expiresMs }) => {
      const line = role.startsWith(LINE) ? lineKeysOf(metadata, role.slice(LINE.length)) : undefined
      const keys = line ?? (role === 'root' ? root : targets)
      return { role, version, expiresMs, daysLeft: Math.floor((expiresMs - nowMs) / DAY_MS), keys }
    })
    const soonest = roles[0]?.daysLeft ?? 0
    const isSoon = soonest < options.within
    const rows = roles.map(({ role, daysLeft, keys, expiresMs }) => [
      role,
      `${keys.threshold} of ${keys.keys.length}`,
      new Date(expiresMs).toISOString().slice(0, 10),
      daysLeft < 0 ? 'ended' : `${daysLeft} days`,
      idsOf(keys),
    ])
    say.result({
      json: {
        vendor,
        custody,
        gateway,
        folder: home.folder,
        roles: roles.map(({ keys, expiresMs, ...role }) => ({
          ...role,
          expiresAt: new Date(expiresMs).toISOString(),
          threshold: keys.threshold,
          keyIds: keys.keys.map(({ keyId }) => keyId),
        })),
      },
      text: [
        `${vendor} signs with its own keys; the gateway cannot.`,
        formatTable([['ROLE', 'SIGN', 'GOOD UNTIL', 'LEFT', 'KEYS'], ...rows]),
        isSoon ? 'Renew it now: ioex vendor keys renew' : 'Nothing has to be renewed yet.',
      ].join('\n'),
      id: vendor,
    })
    if (!isSoon) return undefined
    return soonest < 0 ? ExitCode.failed : ExitCode.partly
  },
})

function idsOf({ keys }: RoleKeys): string {
  return keys.map(({ keyId }) => keyId.slice(0, 12)).join(' ')
}
