import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { after, describe, test } from 'node:test'
import { systemClock } from '../base/index.ts'
import { createProgram } from './catalogue.ts'
import {
  defineCommand,
  flag,
  many,
  type Program,
  required,
  runCommand,
  size,
  text,
  value,
} from './index.ts'
import type { System } from './system.ts'

const scratch = await mkdtemp(join(tmpdir(), 'ioex-cli-'))
after(() => rm(scratch, { recursive: true, force: true }))

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

class Sink extends Writable {
  text = ''
  readonly isTTY: boolean
  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

async function run(
  program: Program,
  line: string,
  options: { readonly env?: Record<string, string>; readonly terminal?: boolean } = {},
  interrupts: { fire?: () => void } = {},
): Promise<Ran & { readonly killedWith: number | undefined }> {
  const terminal = options.terminal === true
  const stdout = new Sink(terminal)
  const stderr = new Sink(terminal)
  const stdin = new PassThrough()
  stdin.end()
  let killedWith: number | undefined
  const system: System = {
    stdin,
    stdout,
    stderr,
    env: { IOEX_HOME: join(scratch, 'home'), ...options.env },
    clock: systemClock,
    onInterrupt(fire) {
      interrupts.fire = fire
      return () => undefined
    },
    kill: (code) => {
      killedWith = code
    },
  }
  const code = await runCommand(program, line.split(' ').filter(Boolean), system)
  return { code, out: stdout.text, err: stderr.text, killedWith }
}

const real = createProgram({ PATH: '' })

/** A program with one command that does what the test wants. */
function programOf(command: ReturnType<typeof defineCommand>): Program {
  const entry = { name: 'act', summary: 'acts', load: () => Promise.resolve({ command }) }
  return { name: 'ioex', summary: 'A program.', version: '1.2.3', catalogue: [entry] }
}

describe('every command', () => {
  for (const entry of real.catalogue) {
    test(`${entry.name}: help has an example that starts with the command itself`, async () => {
      const { command } = await entry.load()
      const help = await run(real, `${entry.name} --help`)
      assert.equal(help.code, 0)
      for (const example of command.examples) {
        assert.ok(example.startsWith(`ioex ${entry.name}`), example)
        assert.ok(help.out.includes(`  $ ${example}\n`))
      }
      assert.match(command.about, /^[A-Z].*\.$/)
      assert.ok(help.out.startsWith(command.about))
    })

    test(`${entry.name}: help and a wrong flag are one JSON document each`, async () => {
      const help = await run(real, `${entry.name} --help --json`)
      assert.equal((JSON.parse(help.out) as { ok: boolean }).ok, true)
      const wrong = await run(real, `${entry.name} --no-such-flag --json`)
      assert.equal(wrong.code, 2)
      assert.equal(wrong.err, '')
      const report = JSON.parse(wrong.out) as Record<string, unknown>
      assert.deepEqual([report.ok, report.code], [false, 'unknown-option'])
      assert.ok(report.fix)
    })

    test(`${entry.name}: a wrong flag ends with 2 and says so on standard error only`, async () => {
      const wrong = await run(real, `${entry.name} --no-such-flag`)
      assert.equal(wrong.code, 2)
      assert.equal(wrong.out, '')
      assert.match(wrong.err, /^error: unknown option '--no-such-flag' {3}\[unknown-option\]\n {7}/)
    })

    test(`${entry.name}: writes no escape byte and no carriage return into a pipe`, async () => {
      for (const line of [`${entry.name} --help`, `${entry.name} --no-such-flag`]) {
        const { out, err } = await run(real, line)
        // biome-ignore lint: the point is the control bytes
        assert.doesNotMatch(out + err, /[\u001b\r]/)
      }
    })
  }
})

describe('the program', () => {
  test('shows its commands without being asked anything', async () => {
    const { code, out } = await run(real, '')
    assert.equal(code, 0)
    for (const { name, summary } of real.catalogue) {
      assert.match(out, new RegExp(`  ${name} +${summary.slice(0, 10)}`))
    }
  })

  test('names the nearest command, and ends with 2', async () => {
    const { code, err } = await run(real, 'id creat')
    assert.equal(code, 2)
    assert.match(err, /unknown command 'creat'[\s\S]*The nearest is: create\./)
  })

  test('prints the table of exit codes', async () => {
    const { code, out } = await run(real, 'help exit-codes')
    assert.equal(code, 0)
    for (const exitCode of [0, 1, 2, 3, 4, 5, 130])
      assert.match(out, new RegExp(`^ *${exitCode} `, 'm'))
  })

  test('makes an identity, shows it, and refuses to overwrite it', async () => {
    const env = { IOEX_HOME: join(scratch, 'made') }
    const made = await run(real, 'id create --json', { env })
    assert.equal(made.code, 0, made.err)
    const first = JSON.parse(made.out) as Record<string, unknown>
    const shown = JSON.parse((await run(real, 'id --json', { env })).out) as Record<string, unknown>
    assert.equal(shown.peerId, first.peerId)
    assert.equal((await run(real, 'id -q', { env })).out, `${String(first.peerId)}\n`)
    const again = await run(real, 'id create', { env })
    assert.equal(again.code, 1)
    assert.match(again.err, /\[keystore-exists\]/)
  })

  test('runs the program of another workspace for a word that is not its own', async () => {
    const folder = join(scratch, 'bin')
    await mkdir(folder, { recursive: true })
    const path = join(folder, 'ioex-greet')
    await writeFile(path, '#!/bin/sh\ntest "$1" = "you" -a "$2" = "--json" && exit 7\n')
    await chmod(path, 0o755)
    const program = createProgram({ PATH: folder })
    assert.equal((await run(program, '--json greet you')).code, 7)
    assert.match((await run(program, '')).out, /From other workspaces:.*\bgreet\b/)
    const { code, err } = await run(program, 'gret')
    assert.equal(code, 2)
    assert.match(err, /The nearest is: greet/)
  })
})

describe('the frame', () => {
  const options = {
    name: required(text('--name NAME', 'who')),
    room: value('--room SIZE', 'how much', size),
    tag: many('--tag TAG', 'labels'),
    loud: flag('--loud', 'shout'),
  }
  const base = { about: 'Acts.', examples: ['ioex act'] as const }
  const echo = programOf(
    defineCommand({
      ...base,
      options,
      run: ({ options, say }) => {
        say.result({ json: { ...options }, text: `hello ${options.name}`, id: options.name })
        return Promise.resolve(undefined)
      },
    }),
  )

  test('hands options over as their types', async () => {
    const { out } = await run(echo, 'act --name a --room 2GB --tag x --tag y --loud --json')
    assert.deepEqual(JSON.parse(out), {
      ok: true,
      name: 'a',
      room: 2e9,
      tag: ['x', 'y'],
      loud: true,
    })
  })

  test('says which required option is missing and what is wrong with a value', async () => {
    const missing = await run(echo, 'act --json')
    assert.equal(missing.code, 2)
    assert.equal((JSON.parse(missing.out) as { code: string }).code, 'missing-option')
    const wrong = await run(echo, 'act --name a --room plenty')
    assert.equal(wrong.code, 2)
    assert.match(wrong.err, /'plenty' is invalid\. write it as 20GB/)
  })

  test('prints only the id when it is asked to be quiet', async () => {
    const { out, err } = await run(echo, 'act --name a --quiet')
    assert.deepEqual([out, err], ['a\n', ''])
  })

  test('never asks where nobody can answer, and names the flag', async () => {
    const asks = programOf(
      defineCommand({
        ...base,
        run: async ({ say }) => {
          await say.confirm({ question: 'Sure?', flag: '--yes' })
          return undefined
        },
      }),
    )
    const { code, err } = await run(asks, 'act')
    assert.equal(code, 2)
    assert.match(err, /Add --yes\./)
  })

  test('lets a failure take the place of the result', async () => {
    const fails = programOf(
      defineCommand({
        ...base,
        run: ({ say }) => {
          say.result({ json: { done: true }, text: 'done' })
          return Promise.reject(new Error('boom'))
        },
      }),
    )
    const { code, out } = await run(fails, 'act --json')
    assert.equal(code, 1)
    assert.deepEqual((JSON.parse(out) as { ok: boolean; code: string }).code, 'internal')
  })

  test('answers Ctrl-C at once, and the second one ends the process', async () => {
    const waits = programOf(
      defineCommand({
        ...base,
        run: async ({ signal, system }) => {
          await system.clock.sleep(60_000, { signal })
          return undefined
        },
      }),
    )
    const interrupts: { fire?: () => void } = {}
    const running = run(waits, 'act', {}, interrupts)
    await new Promise((resume) => setImmediate(resume))
    interrupts.fire?.()
    interrupts.fire?.()
    const { code, err, killedWith } = await running
    assert.deepEqual([code, killedWith], [130, 130])
    assert.match(err, /^Stopping\./)
  })

  const progresses = programOf(
    defineCommand({
      ...base,
      run: ({ say }) => {
        const progress = say.progress({ label: 'Downloading', total: 1000, unit: 'bytes' })
        for (let done = 0; done <= 1000; done += 10)
          progress.update({ done, detail: 'from 3 sources' })
        say.result({ json: {}, text: 'all there' })
        return Promise.resolve(undefined)
      },
    }),
  )

  test('shows progress as a line per tenth where no terminal is', async () => {
    const { out, err } = await run(progresses, 'act')
    assert.equal(out, 'all there\n')
    const lines = err.trimEnd().split('\n')
    assert.equal(lines.length, 10)
    assert.equal(lines[4], 'Downloading: 50 %, 500 B of 1.0 kB, from 3 sources')
  })

  test('draws a bar on a terminal, but not with ACCESSIBLE=1', async () => {
    const drawn = await run(progresses, 'act', { terminal: true })
    assert.match(drawn.err, /Downloading \[=*-*\]/)
    const flat = await run(progresses, 'act', { terminal: true, env: { ACCESSIBLE: '1' } })
    assert.doesNotMatch(flat.err, /\[=/)
  })
})

describe('the process', () => {
  const bin = join(import.meta.dirname, 'ioex.ts')
  const start = (args: readonly string[]) =>
    new Promise<Ran>((resolve, reject) => {
      const child = spawn(process.execPath, [bin, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, HOME: scratch, TERM: 'xterm-256color' },
      })
      let out = ''
      let err = ''
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString()
      })
      child.stderr.on('data', (chunk: Buffer) => {
        err += chunk.toString()
      })
      child.once('error', reject)
      child.once('close', (code) => resolve({ code: code ?? -1, out, err }))
    })

  test('ends with the code of the command and keeps the two streams apart', async () => {
    const help = await start(['--help'])
    assert.deepEqual([help.code, help.err], [0, ''])
    const wrong = await start(['nonsense', '--json'])
    assert.equal(wrong.code, 2)
    assert.equal((JSON.parse(wrong.out) as { code: string }).code, 'unknown-command')
  })
})
