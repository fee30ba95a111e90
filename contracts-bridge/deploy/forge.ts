/**
 * Runs forge with the pinned compiler: `npm run -w contracts-bridge forge -- test --match-test claim`. A first
 * word `quick` or `nightly` is the fuzz profile.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { nativeBinary } from './native-binary.ts'

const PROFILES = ['quick', 'nightly']
const workspace = join(import.meta.dirname, '..')

/** The environment and options under which forge finds compiler, settings and sources. */
export function forgeCall(words: readonly string[]): {
  readonly program: string
  readonly options: readonly string[]
  readonly environment: NodeJS.ProcessEnv
} {
  const profile = words.find((word, at) => at === 0 && PROFILES.includes(word))
  const options = profile === undefined ? words : words.slice(1)
  return {
    program: nativeBinary('forge'),
    options: [...options, '--root', join(workspace, '..')],
    environment: {
      ...process.env,
      FOUNDRY_CONFIG: join(workspace, 'foundry.toml'),
      FOUNDRY_SOLC: join(workspace, 'deploy/solc.mjs'),
      ...(profile === undefined ? {} : { FOUNDRY_PROFILE: profile }),
    },
  }
}

if (import.meta.main) {
  const call = forgeCall(process.argv.slice(2))
  const child = spawn(call.program, call.options, { env: call.environment, stdio: 'inherit' })
  child.on('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
