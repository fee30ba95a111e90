import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareJudges } from './agreement.ts'
import { AUXPOW_ERRORS } from './rejections.ts'

/** Enough for each verdict to be given; the long run is `npm run -w contracts-bridge auxpow:agreement`. */
const CASES = 600

test('TypeScript, contract and reference say the same of real, broken and mutated proofs', async () => {
  const { verdicts, disagreements } = await compareJudges(CASES, 'agreement')
  assert.deepEqual(disagreements.slice(0, 3), [])
  assert.deepEqual(Object.keys(verdicts).sort(), ['ok', ...Object.keys(AUXPOW_ERRORS)].sort())
})
