/** Installs a release from a file with the real command line; run in a namespace without any link. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createCutOffDevice } from '../../node/testing/index.ts'

export interface CutOffStory {
  readonly links: readonly string[]
  readonly told: {
    readonly outcome: string
    readonly version: string
    readonly reportsPending: number
  }
  readonly isSame: boolean
}

const BIN = join(import.meta.dirname, '..', '..', 'node', 'cli', 'ioex.ts')
const folder = await mkdtemp(join(tmpdir(), 'ioex-cut-off-'))
try {
  const { home, carOf } = await createCutOffDevice(folder)
  const image = randomBytes(8 * 1024 * 1024)
  const file = await carOf(image, '1.0.0')
  const slots = join(folder, 'slots')
  const { stdout } = await promisify(execFile)(process.execPath, [
    BIN,
    ...['device', 'install', file, '--home', home, '--slot-dir', slots, '--json'],
  ])
  const story: CutOffStory = {
    links: Object.keys(networkInterfaces()),
    told: JSON.parse(stdout) as CutOffStory['told'],
    isSame: image.equals(await readFile(join(slots, 'current', 'image'))),
  }
  process.stdout.write(JSON.stringify(story))
} finally {
  await rm(folder, { recursive: true, force: true })
}
