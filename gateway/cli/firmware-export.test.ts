/** From the gateway into a file, and from the file onto devices that know no network. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { silentLog, systemClock } from '@ioex/node/base'
import { createInstaller, createSlots, installFile } from '@ioex/node/device'
import { createStorage } from '@ioex/node/storage'
import { type Listener, listen } from '../listen.ts'
import { startGateway, type TestGateway } from '../testing/start-gateway.ts'

const MIB = 1024 * 1024
type TestDevice = Awaited<ReturnType<TestGateway['enroll']>>

describe('a release in a file', () => {
  let rig: TestGateway
  let listener: Listener
  let folder: string
  before(async () => {
    rig = await startGateway()
    await rig.saySeeds()
    listener = await listen({ clock: systemClock }, rig.gateway, { host: '127.0.0.1', port: 0 })
    folder = await mkdtemp(join(tmpdir(), 'ioex-export-'))
  })
  after(async () => {
    await listener.stop()
    await rig.remove()
    await rm(folder, { recursive: true, force: true })
  })

  const ioex = (program: 'vendor' | 'firmware', home: string, ...args: string[]) =>
    new Promise<{ readonly code: number; readonly json: Record<string, unknown> }>((resolve) => {
      execFile(
        process.execPath,
        [join(import.meta.dirname, `ioex-${program}.ts`), ...args, '--json'],
        {
          env: { ...process.env, IOEX_HOME: home, IOEX_OPERATOR_TOKEN: rig.operatorToken },
        },
        (error, stdout) => {
          const code = error === null ? 0 : Number(error.code)
          resolve({ code, json: JSON.parse(stdout) as Record<string, unknown> })
        },
      )
    })

  const install = async (name: string, { identity, enrollment }: TestDevice, file: string) => {
    const clock = systemClock
    const at = join(folder, name)
    await mkdir(at)
    const storage = createStorage(
      { clock, log: silentLog },
      { folder: join(at, 'storage'), quotaBytes: 64 * MIB },
    )
    await storage.start()
    const slots = createSlots(join(at, 'slots'))
    const installer = createInstaller({ slots, clock })
    try {
      const { outcome } = await installFile(
        { identity, storage, slots, installer, clock, log: silentLog },
        { folder: join(at, 'device'), enrollment, file },
      )
      assert.equal(outcome, 'updated')
      return await readFile(join(slots.folder, 'current', 'image'))
    } finally {
      await storage.stop()
    }
  }

  test('of a vendor whose keys the gateway keeps: for devices old and new, and only the newest', async () => {
    const vendor = await rig.createVendor()
    const early = await rig.enroll(vendor)
    const first = await rig.publish(vendor, randomBytes(MIB), '1.0.0')
    const image = randomBytes(3 * MIB)
    const release = await rig.publish(vendor, image, '1.1.0')
    const late = await rig.enroll(vendor)
    const home = join(folder, 'managed')
    await mkdir(join(home, 'vendor'), { recursive: true })
    await writeFile(
      join(home, 'vendor', 'vendor.json'),
      JSON.stringify({ gateway: listener.url, custody: 'managed', ...vendor }),
    )
    const out = join(folder, 'managed.car')
    const old = await ioex('firmware', home, 'export', '--release', first.id, '--out', out)
    assert.deepEqual([old.code, old.json['code']], [1, 'release-not-newest'])
    const none = await ioex('firmware', home, 'export', '--out', out)
    assert.equal(none.code, 2)
    const done = await ioex('firmware', home, 'export', '--release', release.id, '--out', out)
    assert.equal(done.code, 0, JSON.stringify(done.json))
    assert.equal(done.json['cohorts'], 2)
    assert.ok((await install('early', early, out)).equals(image))
    assert.ok((await install('late', late, out)).equals(image))
    const left = (await readdir(folder)).filter((name) => name.endsWith('.part'))
    assert.deepEqual(left, [])
  })

  test('of a vendor with own keys', async () => {
    const home = join(folder, 'own')
    const created = await ioex('vendor', home, 'create', '--gateway', listener.url, '--name', 'Own')
    assert.equal(created.code, 0, JSON.stringify(created.json))
    const vendor = created.json['vendor'] as `0x${string}`
    const { token } = await rig.call<{ token: string }>('POST', `/v1/vendors/${vendor}/tokens`, {
      expect: 201,
      token: rig.operatorToken,
      json: { name: 'test', scopes: ['admin'] },
    })
    const device = await rig.enroll({ vendor, token })
    const image = randomBytes(2 * MIB)
    const path = join(folder, 'app.bin')
    await writeFile(path, image)
    const published = await ioex(
      'firmware',
      home,
      ...['publish', path, '--model', 'pump', '--version', '1.0.0'],
    )
    assert.equal(published.code, 0, JSON.stringify(published.json))
    const id = String(published.json['id'])
    const out = join(folder, 'own.car')
    const done = await ioex('firmware', home, 'export', '--release', id, '--out', out)
    assert.equal(done.code, 0, JSON.stringify(done.json))
    assert.ok((await install('own-device', device, out)).equals(image))
  })
})
