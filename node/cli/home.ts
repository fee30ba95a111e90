import { homedir } from 'node:os'
import { join } from 'node:path'
import type { OptionSpec } from './options.ts'
import { fromEnv, text } from './options.ts'

/** Where a node keeps its key, its blocks and its settings. */
export const homeOption: OptionSpec<string | undefined> = fromEnv(
  text('--home DIR', 'folder of this node: key, blocks, settings'),
  'IOEX_HOME',
)

/** `--home`, else IOEX_HOME, else where the platform keeps data of programs. */
export function homeFolder(
  given: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if (given !== undefined) return given
  if (env.XDG_DATA_HOME !== undefined && env.XDG_DATA_HOME !== '') {
    return join(env.XDG_DATA_HOME, 'ioex')
  }
  if (process.platform === 'win32' && env.LOCALAPPDATA !== undefined) {
    return join(env.LOCALAPPDATA, 'ioex')
  }
  if (process.platform === 'darwin')
    return join(homedir(), 'Library', 'Application Support', 'ioex')
  return join(homedir(), '.local', 'share', 'ioex')
}

/** Names inside a home folder, so that commands of one home find one another. */
export function homePaths(home: string) {
  return {
    keystore: join(home, 'keystore.json'),
    networkFile: join(home, 'network.json'),
    device: join(home, 'device'),
    control: join(home, 'control.sock'),
  } as const
}
