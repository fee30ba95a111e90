/**
 * `npm run load -- [smoke|steady|spike|soak] [scenario …]`: runs the k6 scenarios one after another against
 * the network that `npm start` has running, or against one of its own. Exit 0 when every budget held.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Shape, shapes } from '../budgets.ts'
import { findK6, runScript } from './k6.ts'
import { findNetwork } from './network.ts'
import { prepare } from './prepare.ts'

const SCENARIOS = ['poll', 'address-list', 'receipts', 'publish']
const say = (line: string) => process.stderr.write(`load: ${line}\n`)

const [shapeName = 'smoke', ...wanted] = process.argv.slice(2)
const unknown = wanted.find((name) => !SCENARIOS.includes(name))
if (!(shapeName in shapes) || unknown !== undefined) {
  say(`usage: npm run load -- [${Object.keys(shapes).join('|')}] [${SCENARIOS.join('] [')}]`)
  process.exit(2)
}
const shape = shapeName as Shape

const k6 = await findK6(say)
const target = await findNetwork(say)
const folder = await mkdtemp(join(tmpdir(), 'ioex-load-'))
let failed = 0
const names = wanted.length === 0 ? SCENARIOS : wanted
try {
  const fixtureFile = join(folder, 'fixture.json')
  await writeFile(fixtureFile, JSON.stringify(await prepare(target)), { mode: 0o600 })
  for (const name of names) {
    say(`${name}, ${shape}`)
    const script = join(import.meta.dirname, '../scenarios', `${name}.ts`)
    const code = await runScript(k6, script, {
      IOEX_LOAD_FIXTURE: fixtureFile,
      IOEX_LOAD_SHAPE: shape,
    })
    if (code !== 0) {
      failed++
      say(`${name}: a budget did not hold (k6 exit code ${code})`)
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
  await target.stop()
}
process.stdout.write(`${names.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1
