import { createRequire } from 'node:module'
import { join } from 'node:path'
import { IoexError } from '@ioex/node/base'

const PLATFORMS: Readonly<Record<string, string>> = {
  'darwin-arm64': 'darwin-arm64',
  'darwin-x64': 'darwin-amd64',
  'linux-arm64': 'linux-arm64',
  'linux-x64': 'linux-amd64',
  'win32-x64': 'win32-amd64',
}

/** The packages that name the platform packages as their optional dependencies. */
const WRAPPERS = {
  anvil: () => import.meta.resolve('@foundry-rs/anvil/package.json'),
  forge: () => import.meta.resolve('@foundry-rs/forge/package.json'),
}

/**
 * The native program inside the platform package of a Foundry tool. The tool's own `.bin` entry is a Node
 * process with a child, which cannot be killed as one, so it is passed by.
 */
export function nativeBinary(tool: 'anvil' | 'forge'): string {
  const platform = PLATFORMS[`${process.platform}-${process.arch}`]
  const missing = (cause?: unknown) =>
    new IoexError('chain-tool-missing', `there is no ${tool} for this machine`, {
      blame: 'local',
      fix: `Run npm ci (with optional packages); Foundry has builds for ${Object.keys(PLATFORMS).join(', ')}.`,
      cause,
    })
  if (platform === undefined) throw missing()
  try {
    const manifest = createRequire(WRAPPERS[tool]()).resolve(
      `@foundry-rs/${tool}-${platform}/package.json`,
    )
    const name = process.platform === 'win32' ? `${tool}.exe` : tool
    return join(manifest, '..', 'bin', name)
  } catch (thrown) {
    throw missing(thrown)
  }
}
