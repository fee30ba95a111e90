import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Where the load goes, and with whose token. */
export interface Target {
  readonly gateway: string
  readonly vendor: string
  readonly vendorToken: string
  stop(): Promise<void>
}

interface Endpoints {
  readonly gateway: string
  readonly vendor: { readonly vendor: string; readonly token: string }
}

const repository = join(import.meta.dirname, '../..')
/** Written by `npm start`, readable by its owner only. */
const ENDPOINTS = join(repository, '.data', 'endpoints.json')

/** The network that `npm start` has running, or one of our own that ends with the load. */
export async function findNetwork(say: (line: string) => void): Promise<Target> {
  // Without the file, or without the right to read it, no network of ours is running: then one is started.
  const running = await readFile(ENDPOINTS, 'utf8').catch(() => undefined)
  if (running !== undefined) {
    const { gateway, vendor } = JSON.parse(running) as Endpoints
    const alive = await fetch(`${gateway}/healthz`).then(
      (answer) => answer.ok,
      () => false,
    )
    if (alive) {
      say(`using the network at ${gateway}`)
      return {
        gateway,
        vendor: vendor.vendor,
        vendorToken: vendor.token,
        stop: () => Promise.resolve(),
      }
    }
  }
  say('no network is running; starting one that ends with the load')
  return startNetwork()
}

async function startNetwork(): Promise<Target> {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-load-'))
  const start = join(repository, 'gateway/localnet/start.ts')
  const child = spawn(process.execPath, [start, '--data', folder, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  const ready = await new Promise<Endpoints>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      resolve(JSON.parse(line) as Endpoints)
    })
    void ended.then(() => reject(new Error('npm start ended before it was ready')))
  })
  const { gateway, vendor } = ready
  return { gateway, vendor: vendor.vendor, vendorToken: vendor.token, stop }
}
