import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { glob } from 'node:fs/promises'
import { join } from 'node:path'
import { IoexError } from '@ioex/node/base'

const consoleFolder = join(import.meta.dirname, '../../vendor-console')

/** Builds the console when its sources are newer than what was built last. */
export async function buildConsole(): Promise<void> {
  const built = await modifiedMs(join(consoleFolder, 'dist/index.html'))
  let newest = 0
  for await (const path of glob('**/*.{ts,tsx,css,html,json}', {
    cwd: consoleFolder,
    exclude: (name) => name.startsWith('dist') || name.startsWith('node_modules'),
  })) {
    newest = Math.max(newest, await modifiedMs(join(consoleFolder, path)))
  }
  if (built >= newest) return
  const vite = join(import.meta.dirname, '../../node_modules/vite/bin/vite.js')
  const child = spawn(
    process.execPath,
    [vite, 'build', '--logLevel', 'error', '--config', 'vite.config.ts'],
    {
      cwd: consoleFolder,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) {
    throw new IoexError('console-not-built', 'the vendor console could not be built', {
      blame: 'local',
      fix: 'run "npm run build" and read what it says',
    })
  }
}

async function modifiedMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs
  } catch {
    // Not built yet.
    return 0
  }
}
