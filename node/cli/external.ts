import { spawn } from 'node:child_process'
import { access, constants, readdir, realpath } from 'node:fs/promises'
import { constants as systemConstants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import type { ExternalCommands } from './command.ts'

/**
 * Commands of other workspaces, found the way git finds its own: `ioex vendor` runs the program
 * `ioex-vendor` beside this one in `node_modules/.bin`, or on PATH. So the peer imports none of them.
 */
export function createExternalCommands(needs: {
  readonly prefix: string
  /** Of the program that runs now; the folders above it are searched for `node_modules/.bin`. */
  readonly here: string
  readonly env: Readonly<Record<string, string | undefined>>
}): ExternalCommands {
  const folders = () => [
    ...ancestors(needs.here).map((folder) => join(folder, 'node_modules', '.bin')),
    ...(needs.env.PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
  ]

  const find = async (word: string): Promise<string | undefined> => {
    // A word with a path in it would run a program from anywhere.
    if (!/^[a-z][a-z0-9-]*$/.test(word)) return undefined
    for (const folder of folders()) {
      const path = join(folder, `${needs.prefix}-${word}`)
      if (await isExecutable(path)) return realpath(path)
    }
    return undefined
  }

  return {
    async list() {
      const found = new Set<string>()
      for (const folder of folders()) {
        const names = await readdir(folder).catch(() => [])
        for (const name of names) {
          const word = name.startsWith(`${needs.prefix}-`)
            ? name.slice(needs.prefix.length + 1)
            : ''
          if (/^[a-z][a-z0-9-]*$/.test(word)) found.add(word)
        }
      }
      return [...found].sort()
    },
    async run(word, rest) {
      const path = await find(word)
      if (path === undefined) return undefined
      // Ours are TypeScript, which only the Node that runs now is sure to take.
      const [program, args] = /\.[cm]?[jt]s$/.test(path)
        ? [process.execPath, [...process.execArgv, path, ...rest]]
        : [path, rest]
      const child = spawn(program, args, { stdio: 'inherit' })
      const forward = (signal: NodeJS.Signals) => void child.kill(signal)
      process.on('SIGTERM', forward)
      // A terminal sends Ctrl-C to the child as well; here it only must not end the parent first.
      try {
        return await new Promise<number>((resolve, reject) => {
          child.once('error', reject)
          child.once('exit', (code, signal) =>
            resolve(code ?? 128 + systemConstants.signals[signal ?? 'SIGTERM']),
          )
        })
      } finally {
        process.off('SIGTERM', forward)
      }
    },
  }
}

function ancestors(folder: string): string[] {
  const above = dirname(folder)
  return above === folder ? [folder] : [folder, ...ancestors(above)]
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
