/**
 * `npm run demo`: the whole story on this machine, with real processes. A vendor publishes firmware, devices
 * hear of it, pull it from seeds by CID with an authorization they fill in themselves, install it and sign
 * receipts; the bridge settles them on a chain; a person backs up a folder and gets it back on another machine.
 * Options: `--firmware FILE` (default: the Node executable it runs on), `--devices N`, `--seeds N`, `--keep`,
 * `--json` (one object as the last line).
 */
import { rm } from 'node:fs/promises'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { IoexError } from '@ioex/node/base'
import { runDemo } from './demo-story.ts'

const { values } = parseArgs({
  options: {
    firmware: { type: 'string', default: process.execPath },
    devices: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '3' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const devices = Number(values.devices)
const seeds = Number(values.seeds)
const say = (line: string) => process.stderr.write(`${line}\n`)
if (!(devices >= 1 && devices <= 100 && seeds >= 1 && seeds <= 20)) {
  say('error: --devices takes 1 to 100, --seeds 1 to 20')
  process.exit(2)
}

const folder = await mkdtemp(join(tmpdir(), 'ioex-demo-'))
try {
  const result = await runDemo({ folder, firmware: values.firmware, devices, seeds, say })
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`)
} catch (thrown) {
  const error = thrown instanceof IoexError ? thrown : undefined
  say(`error: ${error?.message ?? String(thrown)}`)
  if (error?.fix !== undefined) say(`       ${error.fix}`)
  process.exitCode = 1
} finally {
  if (values.keep) say(`Everything is kept in ${folder}`)
  else await rm(folder, { recursive: true, force: true })
}
