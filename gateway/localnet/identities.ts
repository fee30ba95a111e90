import { join } from 'node:path'
import { codeOf, systemRandom } from '@ioex/node/base'
import { createKeystore, generateSeed, type Keystore, openKeystore } from '@ioex/node/identity'

/** The keystore of a node's home, made when it is missing: every node of a local network keeps its identity. */
export async function keepIdentity(home: string): Promise<Keystore> {
  const path = join(home, 'keystore.json')
  try {
    return await openKeystore(path, { passphrase: undefined })
  } catch (thrown) {
    if (codeOf(thrown) !== 'keystore-missing') throw thrown
  }
  return createKeystore(path, { seed: generateSeed(systemRandom), passphrase: undefined })
}
