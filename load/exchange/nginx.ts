/** What a plain file transfer takes on this machine: nginx with sendfile to curl into a file, synced at the end. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { systemClock } from '@ioex/node/base'
import { findProgram } from './find-program.ts'
import { measured, type Prepare, type Rig, runFolder } from './rig.ts'
import type { RunFigures, SideUsage } from './types.ts'
import { usageOf } from './usage.ts'

const exec = promisify(execFile)
const LOOPBACK = '127.0.0.1'
/** nginx listens within milliseconds. */
const LISTEN_TRIES = 200
const LISTEN_EVERY_MS = 25
/** curl is gone when it is done, so its memory is looked at meanwhile. */
const LOOK_EVERY_MS = 50

export const nginxCurl: Prepare = async (rig) => {
  const nginx = await findProgram('nginx')
  const curl = await findProgram('curl')
  const missing = [nginx === undefined ? 'nginx-light' : '', curl === undefined ? 'curl' : '']
  const packages = missing.filter(Boolean).join(' ')
  if (nginx === undefined || curl === undefined) {
    return { ok: false, reason: `not installed; Debian: apt-get install ${packages}` }
  }
  const { stderr } = await exec(nginx, ['-v'])
  const { stdout } = await exec(curl, ['--version'])
  const plainHash = await hashOf(rig.content.plainFile)
  return {
    ok: true,
    value: {
      version: `${stderr.trim()}, ${stdout.split(' ').slice(0, 2).join(' ')}`,
      durability: 'one fdatasync of the file at the end is counted',
      note: 'one plain file, sendfile; nothing is verified, stored in blocks or receipted',
      run: () => transfer(rig, { nginx, curl, plainHash }),
    },
  }
}

async function transfer(
  rig: Rig,
  programs: { readonly nginx: string; readonly curl: string; readonly plainHash: string },
): Promise<RunFigures> {
  const folder = runFolder(rig)
  await mkdir(folder)
  const port = await freePort()
  const config = join(folder, 'nginx.conf')
  await writeFile(config, configOf(folder, dirname(rig.content.plainFile), port))
  const sender = rig.processes.start(programs.nginx, ['-p', folder, '-c', config])
  await listening(port)
  const file = join(folder, 'received.bin')
  const script =
    'read go && "$1" --silent --show-error --fail --noproxy "*" -o "$2" "$3" && sync -d "$2" && echo done && read stop'
  const url = `http://${LOOPBACK}:${port}/${basename(rig.content.plainFile)}`
  const receiver = rig.processes.start('sh', ['-c', script, 'sh', programs.curl, file, url])
  let peak: SideUsage = { cpuSeconds: 0, peakRssBytes: 0 }
  const looking = setInterval(() => {
    void usageOf(receiver.pid).then((usage) => {
      if (usage.peakRssBytes > peak.peakRssBytes) peak = usage
    })
  }, LOOK_EVERY_MS)
  try {
    const figures = await measured({ sender, receiver }, async () => {
      const startedMs = systemClock.monotonicMs()
      receiver.tell('go')
      await receiver.line()
      return (systemClock.monotonicMs() - startedMs) / 1_000
    })
    if ((await hashOf(file)) !== programs.plainHash) throw new Error('curl got another file')
    const { cpuSeconds } = figures.receiver
    return { ...figures, receiver: { cpuSeconds, peakRssBytes: peak.peakRssBytes } }
  } finally {
    clearInterval(looking)
  }
}

/** One process without a master, so that nothing is left when it ends. */
function configOf(folder: string, root: string, port: number): string {
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server { listen ${LOOPBACK}:${port}; root ${root}; }
}
`
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resume) => server.listen(0, LOOPBACK, resume))
  const { port } = server.address() as AddressInfo
  await new Promise<unknown>((resume) => server.close(resume))
  return port
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < LISTEN_TRIES; tries++) {
    const isOpen = await new Promise<boolean>((resume) => {
      const socket = connect(port, LOOPBACK)
      socket.once('connect', () => resume(true)).once('error', () => resume(false))
      socket.once('connect', () => socket.destroy())
    })
    if (isOpen) return
    await systemClock.sleep(LISTEN_EVERY_MS)
  }
  throw new Error('nginx does not listen')
}
