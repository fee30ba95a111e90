import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { codeOf, MIB, silentLog, systemClock } from '../base/index.ts'
import { createDeviceFleet } from '../testing/device-rig.ts'
import { createHooks } from './hooks.ts'

const STEPS = [
  'before-download',
  'after-download',
  'before-switch',
  'after-switch',
  'after-confirm',
]

async function withHooks(
  story: (now: {
    folder: string
    hook: (step: string, script: string) => Promise<void>
    said: () => Promise<string[]>
  }) => Promise<void>,
) {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-hooks-'))
  const log = join(folder, 'log')
  try {
    await story({
      folder,
      async hook(step, script) {
        const note = `printf '%s %s over %s\\n' "$IOEX_STEP" "$IOEX_VERSION" "$IOEX_INSTALLED_VERSION" >>'${log}'`
        await writeFile(join(folder, step), `#!/bin/sh\n${note}\n${script}\n`)
        await chmod(join(folder, step), 0o755)
      },
      async said() {
        try {
          return (await readFile(log, 'utf8')).trim().split('\n')
        } catch (thrown) {
          if (codeOf(thrown) === 'ENOENT') return []
          throw thrown
        }
      },
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('hooks are run at each step, in order, and told what it is about', () =>
  withHooks(async ({ folder, hook, said }) => {
    for (const step of [...STEPS, 'after-fall-back']) await hook(step, 'exit 0')
    const fleet = await createDeviceFleet()
    try {
      await fleet.seed()
      const device = await fleet.device({
        hooksFolder: folder,
        healthCommand: `case "$IOEX_VERSION" in 2.*) exit 1; esac`,
        healthWithinMs: 100,
      })
      await fleet.publish(Buffer.alloc(MIB, 1), '1.0.0')
      assert.equal((await device.agent.update()).outcome, 'updated')
      assert.deepEqual(
        await said(),
        STEPS.map((step) => `${step} 1.0.0 over ${step === 'after-confirm' ? '1.0.0' : ''}`),
      )
      await fleet.publish(Buffer.alloc(MIB, 2), '2.0.0')
      assert.equal((await device.agent.update()).outcome, 'fell-back')
      assert.equal((await said()).at(-1), 'after-fall-back 2.0.0 over 1.0.0')
    } finally {
      await fleet.stop()
    }
  }))

test('a step waits while its hook says no, and an after-hook holds nothing up', () =>
  withHooks(async ({ folder, hook, said }) => {
    const fleet = await createDeviceFleet()
    try {
      await fleet.seed()
      const device = await fleet.device({ hooksFolder: folder })
      await fleet.publish(Buffer.alloc(MIB, 1), '1.0.0')
      await hook('before-download', 'exit 7')
      const early = await device.agent.update()
      assert.deepEqual([early.outcome, early.waiting?.reason], ['waiting', 'hook-postponed'])
      assert.equal(early.waiting?.detail, 'the hook before-download ended with 7')
      assert.ok(!fleet.gateway.calls.some((call) => call.endsWith('/grants')))
      await hook('before-download', 'exit 0')
      await hook('before-switch', 'exit 1')
      await hook('after-download', 'exit 1')
      assert.equal((await device.agent.update()).waiting?.reason, 'hook-postponed')
      await hook('before-switch', 'exit 0')
      assert.equal((await device.agent.update()).outcome, 'updated')
      const downloads = (await said()).filter((line) => line.startsWith('after-download'))
      assert.equal(downloads.length, 1)
    } finally {
      await fleet.stop()
    }
  }))

test('a hook that hangs is ended, and a file that cannot be run is left alone', () =>
  withHooks(async ({ folder, hook }) => {
    const hooks = createHooks(
      { clock: systemClock, log: silentLog, installedVersion: () => '' },
      { folder, withinMs: 50 },
    )
    const target = { root: 'bafy', version: '1.0.0' }
    await hook('before-switch', 'sleep 60')
    const held = await hooks.before('before-switch', target)
    assert.equal(held?.detail, 'the hook before-switch took longer than 50 ms')
    await writeFile(join(folder, 'before-download'), '#!/bin/sh\nexit 1\n')
    assert.equal(await hooks.before('before-download', target), undefined)
  }))
