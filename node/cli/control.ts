/**
 * How commands reach the node that runs in a home folder: HTTP over a Unix socket of mode 0600 in it, so that
 * whoever may read the key may ask, and nobody else. One call is `POST /<method>` with JSON both ways. The
 * socket is also the sign that a home is taken.
 */
import { createHash } from 'node:crypto'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { asError, codeOf, KIB } from '../base/index.ts'
import { ExitCode } from './exit-codes.ts'
import { Failure, type FailureReport, reportOf } from './failure.ts'
import { homePaths } from './home.ts'

/** `sun_path` has 108 bytes on Linux and 104 on macOS, with a zero at the end. */
const SOCKET_PATH_MAX = 100
/** A request names a friend and a greeting, no more. */
const REQUEST_MAX_BYTES = 64 * KIB
/** A list of all friends and requests fits. */
const ANSWER_MAX_BYTES = 1024 * KIB
const CONNECTIONS_MAX = 16

type ControlMethod = (params: unknown, signal: AbortSignal) => Promise<unknown>
export type ControlMethods = Readonly<Record<string, ControlMethod>>

type Answer =
  | { readonly ok: true; readonly result: unknown }
  | ({ readonly ok: false } & FailureReport)

/** In the home folder, or in a private folder of the user when that path is too long for a socket. */
export function controlPath(home: string): string {
  const path = resolve(homePaths(home).control)
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX) return path
  const name = createHash('sha256').update(path).digest('hex').slice(0, 16)
  return join(tmpdir(), `ioex-${userInfo().uid}-${name}`, 'control.sock')
}

/** Throws `home-in-use` when another node runs in this home. */
export async function startControl(
  home: string,
  methods: ControlMethods,
): Promise<{ stop(): Promise<void> }> {
  const path = controlPath(home)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  if (await isAnswered(path)) {
    throw new Failure('home-in-use', `another node runs in ${home}`, {
      fix: 'Stop it first, or use another --home.',
    })
  }
  await rm(path, { force: true })
  const stopping = new AbortController()
  const server = createServer((incoming, response) => {
    answer(methods, incoming, stopping.signal)
      .then((body) => send(response, body))
      .catch(() => response.destroy())
  })
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resume, reject) => {
    server.once('error', reject)
    // The socket must never be there with a wider mode, not even for a moment.
    const before = process.umask(0o077)
    server.listen(path, resume)
    process.umask(before)
  })
  await chmod(path, 0o600)
  return {
    async stop() {
      stopping.abort()
      server.closeAllConnections()
      await new Promise<void>((resume) => server.close(() => resume()))
    },
  }
}

async function answer(
  methods: ControlMethods,
  incoming: IncomingMessage,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    const name = (incoming.url ?? '').slice(1)
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined
    if (incoming.method !== 'POST' || method === undefined) {
      throw new Failure('unknown-method', `this node has no method ${name}`, {
        fix: 'Use the same version of ioex for the node and the command.',
      })
    }
    const text = await readBounded(incoming, REQUEST_MAX_BYTES)
    const gone = new AbortController()
    incoming.socket.once('close', () => gone.abort())
    const result = await method(JSON.parse(text), AbortSignal.any([signal, gone.signal]))
    return { ok: true, result: result ?? null }
  } catch (thrown) {
    return { ok: false, ...reportOf(thrown) }
  }
}

function send(response: ServerResponse, body: Answer): void {
  response.setHeader('content-type', 'application/json')
  response.setHeader('connection', 'close')
  response.end(JSON.stringify(body))
}

async function readBounded(stream: AsyncIterable<unknown>, maxBytes: number): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of stream) {
    const piece = Buffer.from(part as Uint8Array)
    bytes += piece.byteLength
    if (bytes > maxBytes) throw new Failure('too-large', `more than ${maxBytes} bytes`)
    parts.push(piece)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** Calls the node of a home. Throws `node-not-running`, and what the method throws. */
export async function callControl(
  home: string,
  method: string,
  params: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  let text: string
  try {
    text = await post(controlPath(home), method, JSON.stringify(params), signal)
  } catch (thrown) {
    signal.throwIfAborted()
    const code = codeOf(thrown)
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw thrown
    throw new Failure('node-not-running', `no node runs in ${home}`, {
      fix: `Start it in another window:  ioex peer --home ${home}`,
      exitCode: ExitCode.unreachable,
      cause: asError(thrown),
    })
  }
  const body = JSON.parse(text) as Answer
  if (body.ok) return body.result
  const { code, message, fix, exitCode } = body
  throw new Failure(code, message, { exitCode, ...(fix === undefined ? {} : { fix }) })
}

function post(path: string, method: string, body: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath: path, path: `/${method}`, method: 'POST', signal, agent: false },
      (response) => {
        readBounded(response, ANSWER_MAX_BYTES).then(resolve, reject)
      },
    )
    outgoing.once('error', reject)
    outgoing.end(body)
  })
}

/** A socket file that nobody listens on is left over from a crash. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
