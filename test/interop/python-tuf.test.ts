/**
 * python-tuf, the reference implementation, follows a vendor's repository as the gateway serves it: from the
 * root that a device was enrolled with to the bytes of the release root.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { listen, startGateway } from '@ioex/gateway/testing'
import { systemClock } from '@ioex/node/base'
import { pythonWith } from './python-environment.ts'

const run = promisify(execFile)
const script = join(import.meta.dirname, 'python-tuf.py')

test('python-tuf downloads the release that a device would install', async (context) => {
  const python = await pythonWith(join(import.meta.dirname, 'python-tuf.txt'))
  if (!python.ok) {
    context.skip(python.reason)
    return
  }
  const rig = await startGateway()
  const listener = await listen({ clock: systemClock }, rig.gateway, {
    host: '127.0.0.1',
    port: 0,
  })
  const folder = await mkdtemp(join(tmpdir(), 'ioex-python-tuf-'))
  try {
    const vendor = await rig.createVendor()
    await rig.saySeeds()
    const first = await rig.publish(vendor, randomBytes(100_000), '1.0.0')
    const device = await rig.enroll(vendor)
    await writeFile(join(folder, 'root.json'), JSON.stringify(device.enrollment.tufRoot))
    const repository = `${listener.url}/tuf/${vendor.vendor}`
    const download = async (target: string) => {
      const { stdout } = await run(python.value, [
        ...[script, folder, `${repository}/metadata/`, `${repository}/targets/`, target],
      ])
      return JSON.parse(stdout) as { path: string; length: number; custom: { root: string } }
    }
    const blockOf = async (root: string) => {
      const answer = await rig.request(`/ipfs/${root}?format=raw`)
      return Buffer.from(await answer.arrayBuffer())
    }

    const got = await download('pump/1.0.0')
    assert.equal(got.custom.root, first.id)
    assert.deepEqual(await readFile(got.path), await blockOf(first.id))

    // And from what it has stored to the next one.
    const second = await rig.publish(vendor, randomBytes(100_000), '1.1.0-rc.1')
    const next = await download('pump/1.1.0-rc.1')
    assert.equal(next.custom.root, second.id)
    assert.deepEqual(await readFile(next.path), await blockOf(second.id))
    await assert.rejects(download('pump/9.9.9'), /is not named/)
  } finally {
    await listener.stop()
    await rig.remove()
    await rm(folder, { recursive: true })
  }
})
