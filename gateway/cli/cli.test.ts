import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile as readTextFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Release } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { readFile } from '@ioex/node/chunks'
import { openRelease, unwrapReleaseKey } from '@ioex/node/firmware'
import type { CID } from 'multiformats/cid'
import { type Listener, listen } from '../listen.ts'
import { startGateway, type TestGateway, type TestVendor } from '../testing/start-gateway.ts'

const MIB = 1024 * 1024
let rig: TestGateway
let listener: Listener
let folder: string
before(async () => {
  rig = await startGateway()
  await rig.saySeeds()
  listener = await listen({ clock: systemClock }, rig.gateway, { host: '127.0.0.1', port: 0 })
  folder = await mkdtemp(join(tmpdir(), 'ioex-vendor-'))
})
after(async () => {
  await listener.stop()
  await rig.remove()
  await rm(folder, { recursive: true, force: true })
})

interface Run {
  readonly code: number
  readonly json: Record<string, unknown>
}

/** As a holder of one key, who has nothing of the vendor but a key file and a passphrase. */
function as(name: string, program: 'vendor' | 'firmware', ...args: string[]): Promise<Run> {
  const passphrase = ['--passphrase-file', join(folder, `${name}.txt`)]
  return runAs(join(folder, `home-of-${name}`), program, ...args, ...passphrase)
}

function ioex(program: 'vendor' | 'firmware', ...args: string[]): Promise<Run> {
  return runAs(join(folder, 'home'), program, ...args)
}

function runAs(home: string, program: 'vendor' | 'firmware', ...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(import.meta.dirname, `ioex-${program}.ts`), ...args, '--json'],
      {
        env: {
          ...process.env,
          IOEX_HOME: home,
          IOEX_OPERATOR_TOKEN: rig.operatorToken,
        },
      },
      (error, stdout) => {
        const code = error === null ? 0 : Number(error.code)
        resolve({ code, json: JSON.parse(stdout) as Record<string, unknown> })
      },
    )
  })
}

/** What is in any block or row of the gateway; the vendor's secrets must not be. */
async function gatewayHolds(bytes: Uint8Array): Promise<boolean> {
  for await (const { root } of rig.storage.pins.list()) {
    for await (const cid of rig.storage.pins.blocks(root)) {
      const block = await rig.storage.blocks.get(cid)
      if (block !== undefined && Buffer.from(block).includes(bytes)) return true
    }
  }
  return false
}

describe('publishing with keys of the vendor’s own', () => {
  test('sends ciphertext only, and devices can open and trust what comes of it', async () => {
    const created = await ioex('vendor', 'create', '--gateway', listener.url, '--name', 'Acme')
    assert.equal(created.code, 0, JSON.stringify(created.json))
    const vendor = created.json['vendor'] as `0x${string}`
    const home = join(folder, 'home', 'vendor')
    for (const name of await readdir(join(home, 'keys'))) {
      assert.equal((await stat(join(home, 'keys', name))).mode & 0o777, 0o600)
    }
    const { token } = await rig.call<{ token: string }>('POST', `/v1/vendors/${vendor}/tokens`, {
      expect: 201,
      token: rig.operatorToken,
      json: { name: 'test', scopes: ['admin'] },
    })
    const early = await rig.enroll({ vendor, token })
    const image = Buffer.concat([randomBytes(MIB), Buffer.alloc(MIB, 'plain text')])
    const path = join(folder, 'app.bin')
    await writeFile(path, image)
    const publish = (version: string) =>
      ioex('firmware', 'publish', path, '--model', 'pump', '--version', version)
    const first = await publish('1.0.0')
    assert.equal(first.code, 0, JSON.stringify(first.json))
    const release = first.json as unknown as Release
    assert.equal(release.state, 'published')
    assert.equal(release.imageSha256, null)
    assert.equal(await gatewayHolds(image.subarray(0, 64)), false)

    const late = await rig.enroll({ vendor, token })
    assert.equal((await ioex('firmware', 'wrap')).json['devices'], 1)
    const seed = rig.seeds.find(({ kept }) => kept.has(release.id))
    assert.ok(seed)
    for (const device of [early, late]) {
      const wrap = (await device.client.releaseKey(release.id)) ?? new Uint8Array()
      const key = await unwrapReleaseKey(wrap, device.identity.ageIdentity)
      const opened = openRelease(seed.kept.get(release.id) ?? new Uint8Array(), key)
      const get = (cid: CID) => {
        const bytes = seed.kept.get(cid.toString())
        return bytes === undefined ? Promise.reject(new Error('gone')) : Promise.resolve(bytes)
      }
      const plain = await Array.fromAsync(readFile(opened.treeRef, get))
      assert.equal(sha256(Buffer.concat(plain)), sha256(image))
    }

    image.set(randomBytes(100), MIB / 2)
    await writeFile(path, image)
    const second = await publish('1.1.0')
    assert.equal(second.code, 0, JSON.stringify(second.json))
    const [delta] = (second.json as unknown as Release).deltas
    assert.equal(delta?.baseRoot, release.id)
    assert.ok(delta.bytes < 30_000, `${delta.bytes} bytes for 100 that changed`)
    assert.ok(rig.seeds.some(({ kept }) => kept.has(delta.deltaRoot)))
    const files = await rig.store.db
      .selectFrom('tuf_files')
      .select(['name', 'bytes'])
      .where('vendor', '=', vendor)
      .execute()
    const lines = files.filter(({ name }) => name.endsWith('.line-pump.json'))
    const naming = lines.filter(({ bytes }) => Buffer.from(bytes).includes('pump/1.1.0'))
    assert.ok(Buffer.from(naming[0]?.bytes ?? []).includes('pump/1.0.0'))
    assert.deepEqual(
      naming.map(({ name }) => name),
      ['2.line-pump.json'],
    )

    const again = await publish('1.1.0')
    assert.equal(again.code, 1)
    assert.equal(again.json['ok'], false)
    const renewed = await ioex('vendor', 'keys', 'renew')
    assert.equal(renewed.code, 0, JSON.stringify(renewed.json))
    const status = await ioex('firmware', 'status')
    assert.deepEqual(
      (status.json['items'] as Release[]).map(({ version, state }) => [version, state]),
      [
        ['1.1.0', 'published'],
        ['1.0.0', 'superseded'],
      ],
    )
  })

  test('signs the policy of a rollout, which the gateway then begins and pauses', async () => {
    const { vendor, token } = JSON.parse(
      await readTextFile(join(folder, 'home', 'vendor', 'vendor.json'), 'utf8'),
    ) as TestVendor
    for (let n = 0; n < 12; n++) await rig.enroll({ vendor, token })
    const plan = join(folder, 'rollout.json')
    const phases = [
      { percent: 50, minSample: 2, minSuccessPercent: 50 },
      { percent: 100, minSample: 2 },
    ]
    await writeFile(plan, JSON.stringify({ phases, rollbackTo: '1.1.0' }))
    const path = join(folder, 'app.bin')
    await writeFile(path, randomBytes(2_000))
    const what = ['publish', path, '--model', 'pump', '--version', '1.2.0', '--rollout', plan]
    const published = await ioex('firmware', ...what)
    assert.equal(published.code, 0, JSON.stringify(published.json))
    const id = published.json['id'] as string
    const shown = await ioex('firmware', 'rollout', 'show', id)
    assert.deepEqual([shown.json['status'], shown.json['phase']], ['running', 0])
    const paused = await ioex('firmware', 'rollout', 'pause', id)
    assert.equal(paused.json['status'], 'held')
    const odd = await ioex('firmware', 'rollout', 'widen', id)
    assert.equal(odd.code, 2)
  })

  test('is left to two of three holders, each with a key file and a passphrase of his own', async () => {
    const at = (name: string) => join(folder, name)
    const holders: { file: string; key: string; keyId: string }[] = []
    for (const name of ['ada', 'ben', 'cleo']) {
      await writeFile(at(`${name}.txt`), `the passphrase of ${name}\n`)
      const made = await as(name, 'vendor', 'keys', 'create', at(`${name}.key`))
      assert.equal(made.code, 0, JSON.stringify(made.json))
      assert.equal(made.json['mode'], '600')
      const { publicKey, keyId } = made.json as { publicKey: string; keyId: string }
      holders.push({ file: at(`${name}.key`), key: publicKey, keyId })
    }
    const unsealed = await ioex('vendor', 'keys', 'create', at('plain.key'))
    assert.deepEqual([unsealed.code, unsealed.json['code']], [2, 'passphrase-missing'])
    const adds = holders.flatMap(({ key }) => ['--add', key])
    const roles = async () => {
      const { json } = await ioex('vendor', 'keys')
      return json['roles'] as { role: string; threshold: number; keyIds: string[] }[]
    }
    const [old] = (await roles()).filter(({ role }) => role === 'targets')
    assert.ok(old)
    const two = [...adds, '--remove', old.keyIds[0]?.slice(0, 12) ?? '', '--threshold', '2']
    const change = await ioex('vendor', 'keys', 'change', 'targets', ...two, '--draft', at('a'))
    assert.equal(change.json['submitted'], false, JSON.stringify(change.json))
    const early = await ioex('vendor', 'keys', 'submit', at('a'))
    assert.deepEqual([early.code, early.json['code']], [1, 'metadata-change-invalid'])
    const sign = (name: string, draft: string) =>
      as(name, 'vendor', 'keys', 'sign', at(draft), '--key', at(`${name}.key`))
    assert.equal(((await sign('ada', 'a')).json['missing'] as unknown[]).length > 0, true)
    const last = await sign('ben', 'a')
    assert.deepEqual(last.json['missing'], [])
    assert.match((last.json['changes'] as string[]).join(), /targets: 2 of 3 keys have to sign/)
    assert.equal((await ioex('vendor', 'keys', 'submit', at('a'))).code, 0)
    for (const { role, threshold } of await roles()) {
      assert.equal(threshold, role === 'root' ? 1 : 2, role)
    }

    const path = at('app.bin')
    await writeFile(path, randomBytes(3_000))
    const phases = [{ percent: 100, minSample: 2 }]
    await writeFile(at('plan.json'), JSON.stringify({ phases, rollbackTo: null }))
    const what = ['--model', 'pump', '--version', '1.3.0', '--rollout', at('plan.json')]
    const draft = await ioex('firmware', 'publish', path, ...what, '--draft', at('b'))
    assert.equal(draft.code, 0, JSON.stringify(draft.json))
    assert.equal(draft.json['submitted'], false)
    await sign('cleo', 'b')
    const words = (await sign('ada', 'b')).json['changes'] as string[]
    assert.match(words.join(), /publishes pump 1\.3\.0/)
    const published = await ioex('vendor', 'keys', 'submit', at('b'))
    assert.equal(published.json['state'], 'published', JSON.stringify(published.json))
    const shown = await ioex('firmware', 'rollout', 'show', published.json['id'] as string)
    assert.equal(shown.json['status'], 'running')

    const soon = await ioex('vendor', 'keys', '--within', '400')
    assert.equal(soon.code, 3)
    assert.equal((await ioex('vendor', 'keys', '--within', '30')).code, 0)
  })

  test('says in JSON what is missing', async () => {
    const missing = await ioex('firmware', 'publish', join(folder, 'none'), '--model', 'pump')
    assert.equal(missing.code, 2)
    const twice = await ioex('vendor', 'create', '--gateway', listener.url, '--name', 'Acme')
    assert.equal(twice.code, 1)
    assert.equal(twice.json['code'], 'vendor-exists')
  })
})

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
