import { defineCommand } from '../command.ts'
import { misuse } from '../failure.ts'
import { argument, httpUrl, many, optionalArgument, required, text, value } from '../options.ts'
import { download, init, refresh } from '../tuf-actions.ts'

const ACTIONS = ['init', 'refresh', 'download']

export const command = defineCommand({
  about:
    'Keep the metadata of a TUF repository and fetch targets from it: the command line of the TUF conformance suite.',
  examples: [
    'ioex tuf --metadata-dir tuf init root.json',
    'ioex tuf --metadata-dir tuf --metadata-url https://fw.example/tuf/0x52…/metadata refresh',
    'ioex tuf --metadata-dir tuf --metadata-url https://fw.example/tuf/0x52…/metadata --target-name pump-s3/1.0.0 --target-base-url https://fw.example/tuf/0x52…/targets --target-dir . download',
  ],
  options: {
    metadataDir: required(text('--metadata-dir DIR', 'what is trusted is kept here')),
    metadataUrl: value('--metadata-url URL', 'where the repository has its metadata', httpUrl),
    targetName: many('--target-name PATH', 'what to download, in this order'),
    targetBaseUrl: value('--target-base-url URL', 'where the repository has its targets', httpUrl),
    targetDir: text('--target-dir DIR', 'where targets go, once they have verified'),
  },
  args: {
    action: {
      ...argument('ACTION', 'init (asks nobody), refresh, or download (refreshes first)'),
      parse(given: string) {
        if (!ACTIONS.includes(given)) throw new RangeError(`it must be ${ACTIONS.join(', ')}`)
        return given
      },
    },
    root: optionalArgument('ROOT.json', 'for init: the root to begin with'),
  },
  async run(call) {
    const { options, args } = call
    const needed = <T>(given: T | undefined, name: string): T => {
      if (given !== undefined) return given
      throw misuse('missing-option', `${args.action} needs ${name}`, `Add ${name}.`)
    }
    if (args.action === 'init') {
      await init(call, { folder: options.metadataDir, root: needed(args.root, 'ROOT.json') })
      return undefined
    }
    if (args.root !== undefined) {
      throw misuse('excess-arguments', `${args.action} takes no file`, 'Leave it out.')
    }
    const repository = {
      folder: options.metadataDir,
      metadataUrl: needed(options.metadataUrl, '--metadata-url'),
    }
    if (args.action === 'refresh') {
      await refresh(call, repository)
      return undefined
    }
    const [first] = options.targetName
    needed(first, '--target-name')
    await download(call, {
      ...repository,
      names: options.targetName,
      targetUrl: needed(options.targetBaseUrl, '--target-base-url'),
      targetFolder: needed(options.targetDir, '--target-dir'),
    })
    return undefined
  },
})
