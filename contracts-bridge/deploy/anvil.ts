/**
 * The embedded development chain: anvil as a child process, on the loopback interface only. With `stateFile` it
 * comes back with everything, blocks and transaction receipts too: the whole state is written (temporary file,
 * fsync, rename) a second after a block at the latest, on `save()` and on `stop()`. A `kill -9` of this process or
 * of anvil therefore loses at most the blocks of the last second; the bridge takes that like a reorganisation and
 * sends again, and whoever deploys or funds calls `save()` before going on.
 *
 * anvil's accounts have keys that everybody knows: never let this chain out of the machine.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import {
  asError,
  type Clock,
  codeOf,
  IoexError,
  type Log,
  silentLog,
  systemClock,
  writeFileDurably,
} from '@ioex/node/base'
import { createJsonRpc, type JsonRpc } from './json-rpc.ts'
import { nativeBinary } from './native-binary.ts'

export interface AnvilOptions {
  /** 0 takes a free one. */
  readonly port: number
  readonly chainId: number
  /** Without it the chain is forgotten at the end. */
  readonly stateFile?: string | undefined
  /** Without it a block is made for each transaction, at once. */
  readonly blockTimeS?: number | undefined
}

export interface Anvil {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly rpc: JsonRpc
  /**
   * Resolves when every block up to now is on disk. A transaction is in one once it has a receipt: anvil answers
   * `eth_sendTransaction` before it mines. Does nothing without a state file.
   */
  save(): Promise<void>
  /** Saves, then ends the process. May be called twice. */
  stop(): Promise<void>
}

/** Every development chain in the world has these accounts; deployer and faucet are taken from them. */
export const DEVELOPMENT_MNEMONIC = 'test test test test test test test test test test test junk'

const SAVE_EVERY_MS = 1_000
/** A start took 150 to 300 ms here; a loaded machine may need a hundred times as long. */
const READY_TIMEOUT_MS = 30_000
/** How long anvil may take to end by itself. */
const END_TIMEOUT_MS = 5_000
/** Only the last lines of the output are of use when a start fails. */
const OUTPUT_MAX_CHARACTERS = 4_000

type AnvilProcess = ChildProcessByStdio<null, Readable, Readable>

export async function startAnvil(
  options: AnvilOptions,
  needs: { readonly clock: Clock; readonly log: Log } = { clock: systemClock, log: silentLog },
): Promise<Anvil> {
  const child = spawn(nativeBinary('anvil'), commandLine(options), {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  try {
    const port = await listeningPort(child, needs.clock)
    const url = `http://127.0.0.1:${port}`
    const rpc = createJsonRpc({ clock: needs.clock, fetch }, { url })
    const keeper = createKeeper(rpc, options.stateFile, needs)
    await keeper.load()
    keeper.start()

    const end = async () => {
      keeper.stop()
      if (child.exitCode !== null || child.signalCode !== null) return
      try {
        await keeper.save()
      } finally {
        child.kill('SIGTERM')
        const cancel = needs.clock.after(END_TIMEOUT_MS, () => child.kill('SIGKILL'))
        await ended
        cancel()
      }
    }
    let ending: Promise<void> | undefined
    const stop = () => (ending ??= end())
    return { url, port, pid: child.pid ?? 0, rpc, save: () => keeper.save(), stop }
  } catch (thrown) {
    child.kill('SIGKILL')
    await ended
    throw thrown
  }
}

function commandLine(options: AnvilOptions): string[] {
  return [
    ...['--host', '127.0.0.1', '--port', String(options.port)],
    ...['--chain-id', String(options.chainId), '--mnemonic', DEVELOPMENT_MNEMONIC],
    ...(options.blockTimeS === undefined ? [] : ['--block-time', String(options.blockTimeS)]),
  ]
}

/** The port that anvil says it listens on; its output is read on to the end, so that it never blocks. */
function listeningPort(child: AnvilProcess, clock: Clock): Promise<number> {
  let output = ''
  return new Promise<number>((resolve, reject) => {
    const fail = (why: string, cause?: Error) =>
      reject(
        new IoexError('chain-not-started', `anvil ${why}: ${output.trim()}`, {
          blame: 'local',
          fix: 'If the port is taken, end the process that holds it or choose another port.',
          cause,
        }),
      )
    const cancel = clock.after(READY_TIMEOUT_MS, () => fail('was not ready in time'))
    const read = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_MAX_CHARACTERS)
      const found = /Listening on 127\.0\.0\.1:(\d+)/.exec(output)
      if (found === null) return
      cancel()
      child.stdout.off('data', read).resume()
      resolve(Number(found[1]))
    }
    child.stdout.on('data', read)
    child.stderr.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_MAX_CHARACTERS)
    })
    child.once('error', (error) => fail('could not be run', error))
    child.once('exit', () => {
      cancel()
      fail('ended at once')
    })
  })
}

/** Keeps the chain's state in a file. Writes one after another, and only when there are new blocks. */
function createKeeper(
  rpc: JsonRpc,
  stateFile: string | undefined,
  needs: { readonly clock: Clock; readonly log: Log },
) {
  let savedBlock: unknown
  let writing = Promise.resolve()
  let stopped = false
  let cancelTick: (() => void) | undefined

  const write = async (path: string) => {
    const block = await rpc('eth_blockNumber')
    if (block === savedBlock) return
    await writeFileDurably(path, String(await rpc('anvil_dumpState')))
    savedBlock = block
  }
  const save = async () => {
    if (stateFile === undefined) return
    const mine = writing.then(() => write(stateFile))
    // A failed write is told to whoever asked for it; the next one starts afresh.
    writing = mine.then(
      () => undefined,
      () => undefined,
    )
    await mine
  }
  const saveAndGoOn = async () => {
    try {
      await save()
    } catch (thrown) {
      needs.log.warn({ error: asError(thrown) }, 'could not save the development chain')
    }
    if (!stopped) start()
  }
  const start = () => {
    if (stateFile === undefined) return
    cancelTick = needs.clock.after(SAVE_EVERY_MS, () => void saveAndGoOn())
  }
  return {
    save,
    start,
    stop() {
      stopped = true
      cancelTick?.()
    },
    async load() {
      const state = stateFile === undefined ? undefined : await textOf(stateFile)
      if (state === undefined) return
      await rpc('anvil_loadState', [state])
      savedBlock = await rpc('eth_blockNumber')
    },
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}
