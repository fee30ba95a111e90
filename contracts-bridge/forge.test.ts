import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { abiFiles } from './deploy/abi-text.ts'
import { forgeCall } from './deploy/forge.ts'

/** Compiling took 7 s and the quick profile 5 s here, alone on two cores. */
const TIMEOUT_MS = 240_000

async function forge(words: readonly string[]): Promise<string> {
  const call = forgeCall(words)
  return new Promise((resolve, reject) => {
    execFile(
      call.program,
      call.options,
      { env: call.environment, timeout: TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`forge ${words.join(' ')}:\n${stdout}\n${stderr}`))
      },
    )
  })
}

test('the contracts keep their promises under unit tests, fuzzing and invariants', async () => {
  const report = await forge(['quick', 'test'])
  const passed = /(\d+) tests passed, 0 failed, 0 skipped/.exec(report)
  assert.ok(Number(passed?.[1]) >= 90, report)
  assert.ok((report.match(/\[PASS\] invariant_/g) ?? []).length >= 12, report)
})

test('the folder abi is what the contracts compile to', async () => {
  await forge(['build', '--quiet'])
  for (const [name, text] of await abiFiles(join(import.meta.dirname, 'out'))) {
    const committed = await readFile(join(import.meta.dirname, 'abi', name), 'utf8')
    assert.equal(committed, text, `abi/${name} is old: run npm run -w contracts-bridge abi`)
  }
})
