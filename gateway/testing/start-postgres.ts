import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'

export interface Postgres {
  readonly url: string
  stop(): Promise<void>
}

/** Where Debian puts it, a folder for each version. */
const INSTALLED = '/usr/lib/postgresql'

/**
 * A PostgreSQL of its own on a Unix socket in a temporary folder; undefined when the Debian package
 * `postgresql` is not installed. As root it runs under the package's user, as it refuses root.
 */
export async function startPostgres(): Promise<Postgres | undefined> {
  if (!existsSync(INSTALLED)) return undefined
  const version = readdirSync(INSTALLED)
    .sort((a, b) => Number(a) - Number(b))
    .at(-1)
  if (version === undefined) return undefined
  const program = (name: string) => join(INSTALLED, version, 'bin', name)
  const folder = mkdtempSync(join(tmpdir(), 'ioex-pg-'))
  const user = process.getuid?.() === 0 ? ownerOf(folder) : {}
  const data = join(folder, 'data')
  execFileSync(
    program('initdb'),
    ['-D', data, '-U', 'ioex', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
    { ...user, cwd: folder, stdio: 'ignore' },
  )
  const server: ChildProcess = spawn(
    program('postgres'),
    ['-D', data, '-k', folder, '-c', 'listen_addresses=', '-c', 'fsync=off'],
    { ...user, cwd: folder, stdio: 'ignore' },
  )
  const url = `postgres://ioex@localhost/postgres?host=${encodeURIComponent(folder)}`
  await answers(url, server)
  return {
    url,
    async stop() {
      if (server.exitCode === null && server.signalCode === null) {
        server.kill('SIGINT')
        await once(server, 'exit')
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** User and group of the package; the folder becomes theirs. */
function ownerOf(folder: string): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  const owner = { uid: id('-u'), gid: id('-g') }
  chownSync(folder, owner.uid, owner.gid)
  return owner
}

async function answers(url: string, server: ChildProcess): Promise<void> {
  for (;;) {
    if (server.exitCode !== null) throw new Error(`postgres ended with ${server.exitCode}`)
    const client = new Client({ connectionString: url })
    try {
      await client.connect()
      await client.end()
      return
    } catch (thrown) {
      if (!(thrown instanceof Error)) throw thrown
      await sleep(100)
    }
  }
}
