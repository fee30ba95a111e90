import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { systemClock, utf8 } from '../base/index.ts'
import { createFakeTufRepository } from '../testing/fake-tuf-repository.ts'
import { createProgram } from './catalogue.ts'
import { runCommand } from './index.ts'

const DAY_MS = 86_400_000
const scratch = await mkdtemp(join(tmpdir(), 'ioex-tuf-'))
/** By the first part of the path. */
const served = new Map<string, (path: string) => Uint8Array | number | undefined>()
const server = createServer((request, response) => {
  const [, name = '', ...rest] = (request.url ?? '').split('/').map(decodeURIComponent)
  const answer = served.get(name)?.(rest.join('/'))
  // Undefined is for a test that wants no answer.
  if (answer === undefined) return
  const isMissing = typeof answer === 'number'
  response.writeHead(isMissing ? answer : 200).end(isMissing ? undefined : answer)
})
let base = ''
before(async () => {
  await new Promise<void>((resume) => server.listen(0, '127.0.0.1', resume))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(async () => {
  server.closeAllConnections()
  server.close()
  await rm(scratch, { recursive: true })
})

/** The command line in this process, with a clock that a test can move. */
async function run(
  words: readonly string[],
  nowMs = Date.now(),
): Promise<{ code: number; out: string; err: string }> {
  const text = { out: '', err: '' }
  const sink = (to: keyof typeof text) =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        text[to] += chunk.toString()
        done()
      },
    })
  const code = await runCommand(createProgram({ PATH: '' }), words, {
    stdin: new PassThrough().end(),
    stdout: sink('out'),
    stderr: sink('err'),
    env: {},
    clock: { ...systemClock, nowMs: () => nowMs },
    onInterrupt: () => () => undefined,
    kill: () => undefined,
  })
  return { code, ...text }
}

let scenes = 0
/** A repository that is served, and the words to call a client of it that has begun. */
async function scene(missing = 404) {
  const repository = createFakeTufRepository({ clock: systemClock })
  const name = `repository-${scenes++}`
  const asked: string[] = []
  served.set(name, (path) => {
    asked.push(path)
    return repository.files.get(path) ?? missing
  })
  const folder = join(scratch, name)
  await mkdir(folder)
  await writeFile(join(folder, 'root.json'), repository.initialRoot)
  const metadata = ['--metadata-dir', join(folder, 'metadata')]
  const init = [...metadata, 'init', join(folder, 'root.json')]
  const refresh = [...metadata, '--metadata-url', `${base}/${name}/metadata/`, 'refresh']
  const download = (...targets: readonly string[]) => [
    ...refresh.slice(0, -1),
    ...targets.flatMap((target) => ['--target-name', target]),
    '--target-base-url',
    `${base}/${name}/targets`,
    '--target-dir',
    join(folder, 'targets'),
    'download',
  ]
  assert.equal((await run(['tuf', ...init])).code, 0)
  const targets = async () => {
    const names = await readdir(join(folder, 'targets')).catch(() => [])
    return Object.fromEntries(
      await Promise.all(
        names.map(async (file) => {
          const content = await readFile(join(folder, 'targets', file), 'utf8')
          return [decodeURIComponent(file), content] as const
        }),
      ),
    )
  }
  return { name, repository, asked, folder, init, refresh, download, targets }
}

describe('ioex tuf', () => {
  test('begins without the network, refreshes, and downloads each target once', async () => {
    const { repository, asked, folder, refresh, download, targets } = await scene()
    assert.deepEqual(asked, [])
    repository.delegate('targets', 'line', ['pump/*'])
    repository.addTarget('line', 'pump/1.0+rc 1', utf8('of the line'))
    repository.addTarget('targets', 'plain', utf8('on top'))
    repository.publish('line', 'targets', 'snapshot', 'timestamp')
    assert.equal((await run(['tuf', ...refresh])).code, 0)
    assert.equal(asked.length, 4)
    const top = ['root.json', 'snapshot.json', 'targets.json', 'timestamp.json']
    assert.deepEqual((await readdir(join(folder, 'metadata'))).sort(), top)

    const names = ['plain', 'pump/1.0+rc 1']
    const { code, out } = await run(['tuf', ...download(...names), '--json'])
    assert.equal(code, 0)
    const said = JSON.parse(out) as { targets: { name: string; fetched: boolean }[] }
    assert.deepEqual(
      said.targets.map(({ name, fetched }) => [name, fetched]),
      names.map((name) => [name, true]),
    )
    assert.deepEqual(await targets(), { plain: 'on top', 'pump/1.0+rc 1': 'of the line' })

    // Whether there is something newer has to be asked; what has not changed is not fetched again.
    asked.length = 0
    assert.equal((await run(['tuf', ...download(...names)])).code, 0)
    assert.deepEqual(asked, ['metadata/2.root.json', 'metadata/timestamp.json'])
  })

  test('takes its options behind the subcommand, too', async () => {
    const { refresh } = await scene()
    assert.equal((await run(['tuf', 'refresh', ...refresh.slice(0, -1)])).code, 0)
  })

  test('takes 403 for the end of the roots, as object stores answer so', async () => {
    const { refresh, repository } = await scene(403)
    repository.rotate('root')
    repository.publish('root')
    assert.equal((await run(['tuf', ...refresh])).code, 0)
  })

  test('replaces a target that has changed, here or there', async () => {
    const { folder, repository, download, targets } = await scene()
    repository.addTarget('targets', 'file', utf8('old'))
    repository.publish('targets', 'snapshot', 'timestamp')
    assert.equal((await run(['tuf', ...download('file')])).code, 0)
    await writeFile(join(folder, 'targets', 'file'), 'spoilt')
    assert.equal((await run(['tuf', ...download('file')])).code, 0)
    assert.deepEqual(await targets(), { file: 'old' })
    repository.addTarget('targets', 'file', utf8('new'))
    repository.publish('targets', 'snapshot', 'timestamp')
    assert.equal((await run(['tuf', ...download('file')])).code, 0)
    assert.deepEqual(await targets(), { file: 'new' })
  })

  test('leaves nothing of a target with another hash or length, and stops there', async () => {
    const { repository, download, targets, asked } = await scene()
    for (const name of ['first', 'second', 'third']) {
      repository.addTarget('targets', name, utf8(name))
    }
    repository.publish('targets', 'snapshot', 'timestamp')
    const path = [...repository.files.keys()].find((file) => file.endsWith('.second')) ?? ''
    for (const content of ['sEcond', 'secon', 'second and more']) {
      repository.files.set(path, utf8(content))
      const { code, out } = await run(['tuf', ...download('first', 'second', 'third'), '--json'])
      assert.equal(code, 1)
      assert.equal((JSON.parse(out) as { code: string }).code, 'target-damaged')
      assert.deepEqual(await targets(), { first: 'first' })
    }
    repository.files.delete(path)
    assert.equal((await run(['tuf', ...download('second')])).code, 1)
    assert.equal((await run(['tuf', ...download('no such target')])).code, 1)
    assert.equal((await run(['tuf', ...download('..')])).code, 1)
    assert.equal(asked.filter((file) => file.endsWith('.third')).length, 0)
  })

  test('ends with 1 for whatever fails and with 2 for what was called wrongly', async () => {
    const { folder, init, refresh, download } = await scene()
    assert.equal((await run(['tuf', ...refresh], Date.now() + 31 * DAY_MS)).code, 1)
    const nobody = refresh.map((word) => word.replace(base, 'http://127.0.0.1:1'))
    const { code, out } = await run(['tuf', ...nobody, '--json'])
    assert.deepEqual(
      [code, (JSON.parse(out) as { code: string }).code],
      [1, 'repository-unreachable'],
    )
    assert.equal((await run(['tuf', ...init.slice(0, -1), join(folder, 'none')])).code, 1)
    const elsewhere = refresh.map((word) => word.replace('/metadata', '/elsewhere'))
    assert.equal((await run(['tuf', ...elsewhere])).code, 1)
    await writeFile(join(folder, 'metadata', 'root.json'), '{"signed":')
    const torn = await run(['tuf', ...refresh])
    assert.equal(torn.code, 1)
    assert.match(torn.err, /root\.json is torn/)

    const wrong = [
      [],
      ['init'],
      ['refresh'],
      ['--metadata-dir', folder, 'init'],
      ['--metadata-dir', folder, 'refresh'],
      ['--metadata-dir', folder, 'update'],
      [...refresh, 'root.json'],
      download(),
      refresh.map((word) => word.replace('http:', 'ftp:')),
    ]
    for (const words of wrong) assert.equal((await run(['tuf', ...words])).code, 2, words.join(' '))
  })

  test('goes on after kill -9 at any request, as its last step is on disk before the next', async () => {
    const { name, repository, refresh, folder } = await scene()
    const steps: readonly (readonly [request: string, onDisk: readonly string[]])[] = [
      ['metadata/timestamp.json', ['root.json']],
      ['metadata/2.targets.json', ['root.json', 'snapshot.json', 'timestamp.json']],
    ]
    repository.rotate('root')
    repository.publish('root', 'targets', 'snapshot', 'timestamp')
    const program = join(import.meta.dirname, 'ioex.ts')
    for (const [request, onDisk] of steps) {
      const child = spawn(process.execPath, [program, 'tuf', ...refresh], { stdio: 'ignore' })
      served.set(name, (path) => {
        if (path !== request) return repository.files.get(path) ?? 404
        child.kill('SIGKILL')
        return undefined
      })
      const signal = await new Promise((resume) => child.once('exit', (_code, by) => resume(by)))
      assert.equal(signal, 'SIGKILL')
      assert.deepEqual((await readdir(join(folder, 'metadata'))).sort(), onDisk)
      assert.deepEqual(
        await readFile(join(folder, 'metadata', 'root.json')),
        Buffer.from(repository.files.get('metadata/2.root.json') ?? []),
      )
    }
    served.set(name, (path) => repository.files.get(path) ?? 404)
    assert.equal((await run(['tuf', ...refresh])).code, 0)
  })
})
