import { readFile } from 'node:fs/promises'
import { codeOf, IoexError, type Random, writeFileDurably } from '@ioex/node/base'

/**
 * The token of the operator or the bridge, from its file (mode 0600), which is made when it is missing. Whoever
 * may read the file may use it; the gateway itself stores only its digest.
 */
export async function keepTokenFile(
  needs: { readonly random: Random },
  path: string,
  letter: 'o' | 'b',
): Promise<string> {
  try {
    const token = (await readFile(path, 'utf8')).trim()
    if (new RegExp(`^iox_${letter}_[A-Za-z0-9_-]{43}$`).test(token)) return token
    throw new IoexError('token-file-invalid', `${path} holds no token`, {
      blame: 'local',
      fix: `Delete ${path}; a new token is made at the next start.`,
    })
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
  }
  const token = `iox_${letter}_${Buffer.from(needs.random.bytes(32)).toString('base64url')}`
  await writeFileDurably(path, `${token}\n`, { mode: 0o600 })
  return token
}
