/** Debian's SWUpdate as a process, and images that it takes. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SWUPDATE = 'swupdate'
const OPENSSL = 'openssl'
const CPIO = 'cpio'

/** What is missing on this machine to run it. */
export async function missingForSwupdate(): Promise<string | undefined> {
  for (const [program, argument] of [
    [SWUPDATE, '--version'],
    [OPENSSL, 'version'],
    [CPIO, '--version'],
  ] as const) {
    const isThere = await run(program, [argument]).then(
      () => true,
      () => false,
    )
    if (!isThere) return `${program} is missing (Debian: ${program})`
  }
  return undefined
}

export interface SignedImages {
  /** What the client checks signatures with. */
  readonly certificate: string
  /** An image that writes `content` to `target` when it is installed. */
  make(version: string, content: Uint8Array, target: string): Promise<Uint8Array>
}

/**
 * Debian builds SWUpdate so that it refuses images without a CMS signature over `sw-description`, by a certificate
 * that is meant for e-mail.
 */
export async function createSignedImages(folder: string): Promise<SignedImages> {
  await mkdir(folder, { recursive: true })
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
  await run(OPENSSL, [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate],
    ...['-subj', '/CN=vendor', '-days', '3650', '-addext', 'extendedKeyUsage=emailProtection'],
  ])
  return {
    certificate,
    async make(version, content, target) {
      const own = join(folder, version)
      await mkdir(own, { recursive: true })
      const sha256 = createHash('sha256').update(content).digest('hex')
      await writeFile(join(own, 'content.bin'), content)
      await writeFile(
        join(own, 'sw-description'),
        `software = {\n  version = "${version}";\n  hardware-compatibility: [ "1.0" ];\n  images: (\n    { filename = "content.bin"; type = "raw"; device = "${target}"; sha256 = "${sha256}"; }\n  );\n}\n`,
      )
      await run(
        OPENSSL,
        [
          ...['cms', '-sign', '-in', 'sw-description', '-out', 'sw-description.sig'],
          ...['-signer', certificate, '-inkey', key, '-outform', 'DER', '-nosmimecap', '-binary'],
        ],
        { cwd: own },
      )
      const packing = spawn(CPIO, ['--create', '--format=crc', '--file=image.swu', '--quiet'], {
        cwd: own,
        stdio: ['pipe', 'ignore', 'inherit'],
      })
      // In this order: the description and its signature come first.
      packing.stdin.end('sw-description\nsw-description.sig\ncontent.bin\n')
      const [code] = (await once(packing, 'close')) as [number | null]
      if (code !== 0) throw new Error(`cpio ended with ${code}`)
      return readFile(join(own, 'image.swu'))
    },
  }
}

const INSTALLED = /SWUPDATE successful/
/** The client says how it ended, and is content with the answer. */
const TOLD = /"finished": "success" }, "execution": "closed"[\s\S]*?HTTP status code 200/

type ClientOptions = Parameters<typeof startSwupdate>[0]

/** Runs until an update is installed, and ends it before it could say more. */
export async function install(options: ClientOptions): Promise<void> {
  await runUntil(options, INSTALLED)
}

/** The device has started what was installed, and says so. */
export async function confirm(options: ClientOptions): Promise<void> {
  await runUntil({ ...options, confirm: true }, TOLD)
}

async function runUntil(options: ClientOptions, pattern: RegExp): Promise<void> {
  const client = await startSwupdate(options)
  try {
    await client.says(pattern)
  } finally {
    await client.stop()
  }
}

interface Swupdate {
  /** Resolves once its log has such a line; rejects when it ends before. */
  says(pattern: RegExp): Promise<void>
  stop(): Promise<void>
}

/** In suricatta mode, unmodified. `confirm`: it was restarted after an update that went well. */
async function startSwupdate(options: {
  readonly folder: string
  readonly certificate: string
  readonly url: string
  readonly tenant: string
  readonly id: string
  readonly token: string
  readonly confirm?: boolean
  /** Of a site that made its certificate itself. */
  readonly anyCertificate?: boolean
}): Promise<Swupdate> {
  const { folder, certificate, url, tenant, id, token } = options
  await mkdir(folder, { recursive: true })
  const suricatta = [
    ...['-t', tenant, '-u', url, '-i', id, '-k', token],
    // Polls each second, and resumes a download that broke off after a second.
    ...['-p', '1', '-r', '20', '-w', '1', '-m', '1'],
    ...(options.anyCertificate === true ? ['-x'] : []),
    ...(options.confirm === true ? ['-c', '2'] : []),
  ]
  const child = spawn(
    SWUPDATE,
    ['-l', '5', '-M', '-m', '-H', 'pump:1.0', '-k', certificate, '-u', suricatta.join(' ')],
    // Its sockets and scratch files lie there, so that several run side by side.
    { cwd: folder, env: { PATH: process.env.PATH ?? '', TMPDIR: folder }, detached: true },
  )
  let log = ''
  const watching = new Set<() => void>()
  const take = (text: string) => {
    log = (log + text).slice(-1_000_000)
    for (const look of watching) look()
  }
  child.stdout.setEncoding('utf8').on('data', take)
  child.stderr.setEncoding('utf8').on('data', take)
  child.once('close', () => {
    for (const look of watching) look()
  })
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  return {
    async says(pattern) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const look = () => {
        if (pattern.test(log)) resolve()
        else if (hasEnded()) reject(new Error(`swupdate ended without ${pattern}:\n${log}`))
      }
      watching.add(look)
      look()
      await promise.finally(() => watching.delete(look))
    },
    async stop() {
      if (hasEnded()) return
      const gone = once(child, 'close')
      endGroup(child)
      await gone
    },
  }
}

/** It forks a process for each of its parts; they are of one group. */
function endGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, 'SIGKILL')
}
