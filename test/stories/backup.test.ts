/**
 * Backup, as a person has it: a folder goes to three friends, one of them loses everything, the machine
 * itself too, and 24 words with the network file bring all of it back.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemRandom } from '../../node/base/index.ts'
import { createIdentity, generateSeed } from '../../node/identity/index.ts'
import { signNetworkFile } from '../../node/network/index.ts'
import { emptyNetworkFile } from '../../node/testing/index.ts'
import { describeFolder, makeFolder } from './backup-folder.ts'
import { createProcesses, type ReadyNode } from './ioex-process.ts'

const LISTEN = ['--listen', '/ip4/127.0.0.1/tcp/0']
const CODE = 'correct horse battery staple'

const top = await mkdtemp(join(tmpdir(), 'ioex-backup-'))
const processes = createProcesses()
after(async () => {
  await processes.stop()
  await rm(top, { recursive: true, force: true })
})

test('a folder comes back from two of three friends by the recovery words alone', async (t) => {
  const networkFile = join(top, 'network.json')
  const operator = createIdentity(generateSeed(systemRandom))
  const writeNetworkFile = async (bootstraps: readonly ReadyNode[]) => {
    const listed = bootstraps.map(({ peerId, multiaddrs }) => ({ peerId, multiaddrs }))
    const signed = signNetworkFile(operator, { ...emptyNetworkFile(), bootstraps: listed })
    await writeFile(networkFile, JSON.stringify(signed))
  }
  const env = {
    IOEX_NETWORK: networkFile,
    IOEX_OPERATOR: operator.evmAddress,
    IOEX_PAIRING_CODE: CODE,
  }
  await writeNetworkFile([])
  const bootstraps: ReadyNode[] = []
  for (const name of ['bootstrap-1', 'bootstrap-2']) {
    bootstraps.push(await processes.node(['bootstrap', '--home', join(top, name), ...LISTEN], env))
    await writeNetworkFile(bootstraps)
  }
  const friend = (name: string) =>
    processes.node(
      ['peer', '--home', join(top, name), ...LISTEN, '--http-listen', '127.0.0.1:0'],
      env,
    )
  const friends = await Promise.all(['anna', 'bert', 'carl'].map(friend))

  const photos = join(top, 'photos')
  await mkdir(photos)
  const files = await makeFolder(photos, 'ioex/test/backup/1')
  assert.ok(files >= 2_000, `${files} files`)
  const original = await describeFolder(photos)
  const kinds = [...original.values()].map(({ kind }) => kind)
  t.diagnostic(
    `folder: ${files} files, ${kinds.filter((kind) => kind === 'link').length} links, ${kinds.filter((kind) => kind === 'folder').length} folders`,
  )

  const home = ['--home', join(top, 'home'), ...LISTEN]
  const made = await processes.run(['backup', 'init', '--show-phrase', ...home], env)
  assert.equal(made.code, 0, made.err)
  const phrase = String(made.json.phrase)
  assert.equal(phrase.split(' ').length, 24)

  const pairs = friends.flatMap(({ contactAddress, knockUrl }) => [
    '--pair',
    `${contactAddress}@${knockUrl}`,
  ])
  const first = await timed(() => processes.run(['backup', 'push', photos, ...pairs, ...home], env))
  assert.equal(first.ran.code, 0, first.ran.err + JSON.stringify(first.ran.json))
  assert.equal(first.ran.json.copies, 3)
  const saved = Object(first.ran.json.snapshot) as {
    bytes: number
    sealedBytes: number
    files: number
  }
  assert.equal(saved.files, files)
  t.diagnostic(
    `first push: ${saved.bytes} bytes, ${saved.sealedBytes} sealed, to 3 friends in ${first.seconds} s`,
  )

  const second = await timed(() => processes.run(['backup', 'push', photos, ...home], env))
  assert.equal(second.ran.code, 0, second.ran.err + JSON.stringify(second.ran.json))
  const newBytes = Number(second.ran.json.newBytes)
  assert.ok(newBytes < saved.bytes / 100, `${newBytes} of ${saved.bytes} bytes again`)
  t.diagnostic(
    `second push, unchanged: ${newBytes} new bytes (${((100 * newBytes) / saved.bytes).toFixed(4)} %) in ${second.seconds} s`,
  )

  const [wiped] = friends
  await wiped?.stop()
  await rm(join(top, 'anna'), { recursive: true, force: true })
  await rm(join(top, 'home'), { recursive: true, force: true })

  const words = join(top, 'words.txt')
  await writeFile(words, phrase)
  const fresh = ['--home', join(top, 'fresh'), ...LISTEN]
  const back = await processes.run(['backup', 'init', '--phrase-file', words, ...fresh], env)
  assert.equal(back.code, 0, back.err)
  assert.equal(back.json.peerId, made.json.peerId)
  assert.equal('phrase' in back.json, false)

  const restored = join(top, 'restored')
  const third = await timed(() =>
    processes.run(['backup', 'restore', 'latest', restored, ...fresh], env),
  )
  assert.equal(third.ran.code, 0, third.ran.err + JSON.stringify(third.ran.json))
  t.diagnostic(
    `restore on a fresh machine: ${String(third.ran.json.fetchedBytes)} bytes fetched from 2 friends in ${third.seconds} s`,
  )
  const again = await describeFolder(restored)
  assert.deepEqual([...again.keys()].sort(), [...original.keys()].sort())
  for (const [path, entry] of original) {
    const { mtimeUs, ...rest } = entry
    const { mtimeUs: restoredUs, ...restoredRest } = again.get(path) ?? entry
    assert.deepEqual(restoredRest, rest, path)
    assert.ok(Math.abs(restoredUs - mtimeUs) <= 1, `${path}: ${restoredUs} for ${mtimeUs} µs`)
  }
})

async function timed<T>(work: () => Promise<T>): Promise<{ ran: T; seconds: string }> {
  const startedMs = performance.now()
  const ran = await work()
  return { ran, seconds: ((performance.now() - startedMs) / 1000).toFixed(1) }
}
