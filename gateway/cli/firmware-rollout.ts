import {
  ApiError,
  type Rollout,
  ROLLOUT_ACTIONS,
  RolloutPageSchema,
  RolloutSchema,
} from '@ioex/node/api'
import {
  argument,
  defineCommand,
  formatTable,
  homeOption,
  misuse,
  optionalArgument,
} from '@ioex/node/cli'
import { callerOf } from './gateway-caller.ts'
import { beginRollout } from './publish-signed.ts'
import { openHomeOf } from './vendor-home.ts'

const WORDS = ['list', 'show', ...ROLLOUT_ACTIONS] as const

export const command = defineCommand({
  about: 'See the rollouts of releases, and start, pause, resume, approve, retry or end them.',
  examples: [
    'ioex firmware rollout list',
    'ioex firmware rollout show bafyrei…',
    'ioex firmware rollout pause bafyrei…',
  ],
  args: {
    what: argument('ACTION', WORDS.join(', ')),
    release: optionalArgument('RELEASE', 'the id of the release'),
  },
  options: { home: homeOption },
  async run({ args, options, say, system, signal }) {
    const home = openHomeOf(options, system)
    const settings = await home.settings()
    const http = callerOf(system, settings)
    if (args.what === 'list') {
      const { items } = await http.json(
        { method: 'GET', path: '/v1/rollouts', query: { vendor: settings.vendor }, signal },
        RolloutPageSchema,
      )
      say.result({
        json: { items },
        text: items.length === 0 ? 'No rollout yet.' : items.map(textOf).join('\n\n'),
        id: items.map(({ release }) => release).join('\n'),
      })
      return undefined
    }
    if (args.release === undefined) {
      throw misuse('release-missing', 'which release?', 'See: ioex firmware rollout list')
    }
    const path = `/v1/rollouts/${args.release}`
    const action = ROLLOUT_ACTIONS.find((one) => one === args.what)
    if (action === undefined && args.what !== 'show') {
      throw misuse('action-unknown', `"${args.what}" is no action`, `Use ${WORDS.join(', ')}.`)
    }
    // One whose release was still on its way to the seeds when it was published begins here.
    const isBegun = action === 'start' && (await beginIfNew({ home, http, signal }, args.release))
    const rollout = await http.json(
      action === undefined || isBegun
        ? { method: 'GET', path, signal }
        : { method: 'POST', path: `${path}/actions`, json: { action }, signal },
      RolloutSchema,
    )
    say.result({ json: { ...rollout }, text: textOf(rollout), id: rollout.release })
    return undefined
  },
})

async function beginIfNew(
  needs: Parameters<typeof beginRollout>[0],
  release: string,
): Promise<boolean> {
  try {
    return await beginRollout(needs, release)
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.problem?.code === 'rollout-exists') return false
    throw thrown
  }
}

function textOf(rollout: Rollout): string {
  const rows = rollout.phases.map((phase, index) => [
    index <= rollout.phase ? 'open' : 'shut',
    `${phase.buckets / 100} %`,
    String(phase.confirmed),
    String(phase.failed),
    `${phase.minSample}`,
  ])
  const head = `${rollout.model} ${rollout.version}: ${rollout.status}  ${rollout.release}`
  return `${head}\n${formatTable([['PHASE', 'UP TO', 'RUNNING', 'FAILED', 'SAMPLE'], ...rows])}`
}
