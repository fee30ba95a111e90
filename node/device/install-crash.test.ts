/**
 * Kills the installation from a file at each of its transitions, and measures what memory it takes. The processes
 * are this same file, started with what the test has made for them.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MIB, silentLog, systemClock, tuneForSmallMemory } from '../base/index.ts'
import { wrapReleaseKey } from '../firmware/index.ts'
import { createIdentity } from '../identity/index.ts'
import { createStorage } from '../storage/index.ts'
import { createFakeVendor } from '../testing/fake-vendor.ts'
import { writeReleaseCar } from '../testing/release-car.ts'
import {
  createInstaller,
  createSlots,
  type DeviceEvent,
  type FileInstallOptions,
  installFile,
} from './index.ts'

const MODEL = 'pump-s3'
const identity = createIdentity(new Uint8Array(32).fill(3))
const imageOf = (bytes: number, seed: number) =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(
    Buffer.alloc(bytes),
  )

interface Life {
  readonly folder: string
  readonly enrollment: FileInstallOptions['enrollment']
  readonly file: string
  /** The event at which the process dies; of progress, the middle. */
  readonly dieAt: DeviceEvent['name'] | 'never'
}

/** One life: a whole installation, or as far as the event at which it has to die. */
async function live({ folder, enrollment, file, dieAt }: Life): Promise<void> {
  tuneForSmallMemory()
  const clock = systemClock
  const storage = createStorage(
    { clock, log: silentLog },
    { folder: join(folder, 'storage'), quotaBytes: 64 * MIB },
  )
  await storage.start()
  const slots = createSlots(join(folder, 'slots'))
  let peakBytes = 0
  const { outcome } = await installFile(
    {
      identity,
      storage,
      slots,
      installer: createInstaller({ slots, clock }),
      clock,
      log: silentLog,
      onEvent(event) {
        // Not what the system says of the whole process: before its start that counts its parent's memory.
        peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
        if (event.name !== dieAt) return
        if (event.name === 'progress' && event.percent < 50) return
        process.kill(process.pid, 'SIGKILL')
      },
    },
    { folder: join(folder, 'device'), enrollment, file },
  )
  await storage.stop()
  process.stdout.write(JSON.stringify({ outcome, peakMib: peakBytes / MIB }))
}

interface End {
  readonly signal: NodeJS.Signals | null
  readonly outcome?: string
  readonly peakMib?: number
}

function run(life: Life): Promise<End> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [import.meta.filename], {
      env: { ...process.env, IOEX_TEST_LIFE: JSON.stringify(life), NODE_TEST_CONTEXT: undefined },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout.on('data', (part: Buffer) => {
      out += part.toString()
    })
    child.once('error', reject)
    child.once('close', (_code, signal) => {
      resolve({ signal, ...(out === '' ? {} : (JSON.parse(out) as object)) })
    })
  })
}

const life = process.env['IOEX_TEST_LIFE']
if (life === undefined) describe('an installation from a file', tests)
else await live(JSON.parse(life) as Life)

function tests() {
  const world = async (
    use: (made: {
      readonly folder: string
      readonly enrollment: Life['enrollment']
      carOf(image: Uint8Array, version: string): Promise<string>
    }) => Promise<void>,
  ) => {
    const folder = await mkdtemp(join(tmpdir(), 'ioex-install-'))
    const vendor = createFakeVendor({ clock: systemClock }, { name: 'stick' })
    const tufRoot = JSON.parse(new TextDecoder().decode(vendor.initialRoot)) as Record<
      string,
      unknown
    >
    try {
      await use({
        folder,
        enrollment: { vendor: vendor.address, model: MODEL, tufRoot },
        async carOf(image, version) {
          const { packed } = await vendor.publish(image, { model: MODEL, version })
          const wraps = [await wrapReleaseKey(packed.releaseKey, [identity.ageRecipient])]
          const file = join(folder, `${version}.car`)
          await writeReleaseCar(file, vendor, { root: packed.root, wraps })
          return file
        },
      })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

  test('survives SIGKILL at every transition: the old image runs until the new one does', () =>
    world(async ({ folder, enrollment, carOf }) => {
      const current = () => readFile(join(folder, 'slots', 'current', 'image'))
      const [first, second] = [imageOf(3 * MIB, 1), imageOf(3 * MIB, 2)]
      const base = { folder, enrollment }
      const one = await carOf(first, '1.0.0')
      assert.equal((await run({ ...base, file: one, dieAt: 'never' })).outcome, 'updated')
      const file = await carOf(second, '2.0.0')
      const deaths = ['fetching', 'progress', 'staged', 'written', 'switching'] as const
      for (const dieAt of deaths) {
        assert.equal((await run({ ...base, file, dieAt })).signal, 'SIGKILL', dieAt)
        assert.equal(hashOf(await current()), hashOf(first), dieAt)
      }
      for (const dieAt of ['switched', 'trying'] as const) {
        assert.equal((await run({ ...base, file, dieAt })).signal, 'SIGKILL', dieAt)
        assert.equal(hashOf(await current()), hashOf(second), dieAt)
      }
      assert.equal((await run({ ...base, file, dieAt: 'never' })).outcome, 'updated')
      assert.equal((await run({ ...base, file, dieAt: 'never' })).outcome, 'up-to-date')
      assert.equal(hashOf(await current()), hashOf(second))
    }))

  test('takes no more memory for a large image than for a small one', (t) =>
    world(async ({ folder, enrollment, carOf }) => {
      const rssOf = async (name: string, image: Uint8Array) => {
        const file = await carOf(image, name)
        const end = await run({ folder: join(folder, name), enrollment, file, dieAt: 'never' })
        assert.equal(end.outcome, 'updated')
        return end.peakMib ?? Number.NaN
      }
      const small = await rssOf('1.0.0', imageOf(4 * MIB, 1))
      const large = await rssOf('2.0.0', imageOf(192 * MIB, 2))
      t.diagnostic(`peak ${small.toFixed(0)} MiB for 4 MiB, ${large.toFixed(0)} MiB for 192 MiB`)
      assert.ok(large - small < 64, `it grew by ${large - small} MiB`)
    }))
}
