/** `npm run abi`: compiles the contracts and writes their ABIs and bytecode into the folder abi. */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { abiFiles } from './abi-text.ts'
import { forgeCall } from './forge.ts'

const workspace = join(import.meta.dirname, '..')
const call = forgeCall(['build', '--quiet'])
const built = spawnSync(call.program, call.options, { env: call.environment, stdio: 'inherit' })
if (built.status === 0) {
  for (const [name, text] of await abiFiles(join(workspace, 'out'))) {
    await writeFile(join(workspace, 'abi', name), text)
  }
} else {
  process.exitCode = built.status ?? 1
}
