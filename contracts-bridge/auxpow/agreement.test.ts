import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { compareJudges } from './agreement.ts'
import { AUXPOW_ERRORS } from './rejections.ts'

/** Enough for each verdict to be given; the long run is `npm run -w contracts-bridge auxpow:agreement`. */
const CASES = 600

test('TypeScript, contract and reference say the same of real, broken and mutated proofs', async (context) => {
  const python = await promisify(execFile)('python3', ['--version']).catch(() => undefined)
  if (python === undefined) {
    context.skip('python3 is not installed')
    return
  }
  const { verdicts, disagreements } = await compareJudges(CASES, 'agreement')
  assert.deepEqual(disagreements.slice(0, 3), [])
  assert.deepEqual(Object.keys(verdicts).sort(), ['ok', ...Object.keys(AUXPOW_ERRORS)].sort())
})
