/** The command line of a device without a network, as its own process. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MIB } from '../base/index.ts'
import { type CutOffDevice, createCutOffDevice } from '../testing/cut-off-device.ts'

const BIN = join(import.meta.dirname, 'ioex.ts')

describe('ioex device install', () => {
  let folder: string
  let device: CutOffDevice
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ioex-stick-'))
    device = await createCutOffDevice(folder)
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const ioex = (...args: string[]) =>
    new Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>(
      (resolve, reject) => {
        const child = spawn(process.execPath, [BIN, 'device', 'install', ...args], {
          stdio: ['ignore', 'pipe', 'pipe'],
        })
        let [out, err] = ['', '']
        child.stdout.on('data', (part: Buffer) => {
          out += part.toString()
        })
        child.stderr.on('data', (part: Buffer) => {
          err += part.toString()
        })
        child.once('error', reject)
        child.once('close', (code) => resolve({ code, out, err }))
      },
    )

  test('says how it is used, and what is missing', async () => {
    const help = await ioex('--help')
    assert.equal(help.code, 0)
    assert.match(help.out, /FILE\.car/)
    assert.match(help.out, /ioex device install \/media\/stick/)
    assert.equal((await ioex('--home', device.home)).code, 2)
    const stranger = await ioex('none.car', '--home', join(folder, 'nobody'), '--json')
    assert.equal(stranger.code, 4)
    assert.equal((JSON.parse(stranger.out) as { code: string }).code, 'not-enrolled')
    const none = await ioex(join(folder, 'none.car'), '--home', device.home)
    assert.equal(none.code, 1)
    assert.match(none.err, /\[not-found\]/)
  })

  test('installs what is whole, refuses what is not, and says why', async () => {
    const slots = join(folder, 'slots')
    const image = randomBytes(3 * MIB)
    const file = await device.carOf(image, '1.0.0')
    const given = ['--home', device.home, '--slot-dir', slots]
    const done = await ioex(file, ...given, '--json')
    assert.equal(done.code, 0, done.out + done.err)
    const result = JSON.parse(done.out) as Record<string, unknown>
    assert.equal(result.sha256, `0x${createHash('sha256').update(image).digest('hex')}`)
    assert.deepEqual(
      [result.ok, result.outcome, result.version, result.fetchedBytes, result.reportsPending],
      [true, 'updated', '1.0.0', 0, 2],
    )
    assert.ok((await readFile(join(slots, 'current', 'image'))).equals(image))
    const again = await ioex(file, ...given)
    assert.equal(again.code, 0)
    assert.match(again.out, /^Running 1\.0\.0; the file holds nothing newer\./)

    const next = await device.carOf(randomBytes(3 * MIB), '1.1.0')
    await truncate(next, 2 * MIB)
    const cut = await ioex(next, ...given)
    assert.equal(cut.code, 1)
    assert.match(cut.err, /it ends within the chunk bafk\w+ at byte 2097152 +\[car-incomplete\]/)
    assert.ok((await readFile(join(slots, 'current', 'image'))).equals(image))
  })
})
