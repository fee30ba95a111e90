import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const repository = join(import.meta.dirname, '../..')
const cruiser = join(repository, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs')
const rules = join(repository, '.config/dependency-cruiser.cjs')
const workspaces = ['node', 'gateway', 'contracts-bridge', 'vendor-console', 'load', 'test']

/** The names of the rules that a tree breaks. */
async function brokenRules(folder: string): Promise<string[]> {
  const options = ['--config', rules, '--output-type', 'json', ...workspaces]
  const { stdout } = await run(process.execPath, [cruiser, ...options], {
    cwd: folder,
    maxBuffer: 64 * 1024 * 1024,
  }).catch((thrown: unknown) => {
    if (typeof thrown === 'object' && thrown !== null && 'stdout' in thrown)
      return thrown as { stdout: string }
    throw thrown
  })
  const report = JSON.parse(stdout) as { summary: { violations: { rule: { name: string } }[] } }
  return [...new Set(report.summary.violations.map((violation) => violation.rule.name))]
}

const scratch = await mkdtemp(join(tmpdir(), 'ioex-layers-'))
after(() => rm(scratch, { recursive: true, force: true }))

/** A house of two files, the first of which imports the second. */
async function houseWithArrow(from: string, to: string): Promise<string> {
  const folder = await mkdtemp(join(scratch, 'house-'))
  for (const workspace of workspaces) await mkdir(join(folder, workspace), { recursive: true })
  await writeFile(
    join(folder, 'tsconfig.json'),
    '{"compilerOptions":{"allowImportingTsExtensions":true}}',
  )
  await mkdir(dirname(join(folder, to)), { recursive: true })
  await writeFile(join(folder, to), 'export const there = 1\n')
  const up = '../'.repeat(from.split('/').length - 1)
  await mkdir(dirname(join(folder, from)), { recursive: true })
  await writeFile(
    join(folder, from),
    `import { there } from '${up}${to}'\nexport const here = there\n`,
  )
  return folder
}

describe('the arrows of the house', () => {
  test('hold in the tree as it is', async () => {
    assert.deepEqual(await brokenRules(repository), [])
  })

  const forbidden: readonly (readonly [from: string, to: string, rule: string])[] = [
    ['node/base/bytes.ts', 'node/identity/index.ts', 'base-looks-down-only'],
    ['node/storage/blocks.ts', 'node/identity/index.ts', 'storage-looks-down-only'],
    ['node/receipts/book.ts', 'node/network/index.ts', 'receipts-looks-down-only'],
    ['node/network/dial.ts', 'node/friends/index.ts', 'network-looks-down-only'],
    ['node/exchange/serve.ts', 'node/drive/index.ts', 'exchange-looks-down-only'],
    ['node/firmware/pack.ts', 'node/drive/index.ts', 'firmware-looks-down-only'],
    ['node/device/agent.ts', 'node/create-node.ts', 'device-looks-down-only'],
    ['node/device/agent.ts', 'node/storage/segments.ts', 'storage-through-its-door'],
    ['node/device/agent.ts', 'gateway/client.ts', 'node-imports-no-other-workspace'],
    ['contracts-bridge/bridge/log.ts', 'node/network/index.ts', 'bridge-takes-receipts-only'],
    ['gateway/app.ts', 'vendor-console/main.tsx', 'gateway-looks-down-only'],
    ['vendor-console/main.tsx', 'gateway/app.ts', 'console-through-the-client-only'],
    ['node/base/bytes.ts', 'test/stories/firmware.ts', 'nobody-imports-proof'],
    ['gateway/app.ts', 'node/cli/ioex.ts', 'nobody-imports-entry-points'],
    ['gateway/app.ts', 'node/cli/index.ts', 'nobody-imports-entry-points'],
    ['gateway/cli/vendor.ts', 'node/cli/say.ts', 'cli-through-its-door'],
    ['gateway/app.ts', 'contracts-bridge/bridge/serve.ts', 'nobody-imports-servers'],
  ]
  for (const [from, to, rule] of forbidden) {
    test(`${from} may not import ${to}`, async () => {
      const broken = await brokenRules(await houseWithArrow(from, to))
      assert.ok(broken.includes(rule), `expected ${rule}, got ${broken.join(', ') || 'nothing'}`)
    })
  }

  const allowed: readonly (readonly [from: string, to: string])[] = [
    ['node/device/agent.ts', 'node/storage/index.ts'],
    ['gateway/cli/vendor.ts', 'node/cli/index.ts'],
    ['contracts-bridge/cli/wallet.ts', 'node/cli/index.ts'],
  ]
  for (const [from, to] of allowed) {
    test(`${from} may import ${to}`, async () => {
      assert.deepEqual(await brokenRules(await houseWithArrow(from, to)), [])
    })
  }
})
