/** Proofs of real blocks, from `test/vectors/auxpow` (its README says where each comes from). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256d, type WorkHash } from './work.ts'

const folder = join(import.meta.dirname, '../../test/vectors/auxpow')

export interface AuxPowVector {
  readonly name: string
  readonly proof: Uint8Array
  /** Little-endian. */
  readonly auxHash: Uint8Array
  readonly chainId: number
  /** Absent for proofs from a test network whose parents carry no work. */
  readonly work?: { readonly bits: number; readonly algorithm: WorkHash }
}

export function hexFile(name: string): Uint8Array {
  return Uint8Array.from(Buffer.from(readFileSync(join(folder, name), 'utf8').trim(), 'hex'))
}

function behindHeader(
  name: string,
  file: string,
  chainId: number,
  algorithm: WorkHash,
  proofBytes?: number,
): AuxPowVector {
  const bytes = hexFile(file)
  const header = bytes.subarray(0, 80)
  return {
    ...{ name, chainId, auxHash: sha256d(header) },
    proof: bytes.subarray(80, proofBytes === undefined ? undefined : 80 + proofBytes),
    work: { bits: Buffer.from(header).readUInt32LE(72), algorithm },
  }
}

function elastos(name: string, chainId: number): AuxPowVector {
  const auxHash = hexFile(`${name}.blockhash`).toReversed()
  return { name, proof: hexFile(`${name}.auxpow.hex`), auxHash, chainId }
}

/** The proof of Dogecoin 371337 ends where the block's transactions begin. */
const DOGECOIN_371337_PROOF_BYTES = 455

export const auxPowVectors: readonly AuxPowVector[] = [
  behindHeader('namecoin 37174', 'namecoin_header_37174.fullheader.hex', 1, 'sha256d'),
  behindHeader('namecoin testnet 233281', 'header_zero_output_auxpow.fullheader.hex', 1, 'sha256d'),
  behindHeader(
    'dogecoin 371337',
    'dogecoin_371337.block.hex',
    98,
    'scrypt',
    DOGECOIN_371337_PROOF_BYTES,
  ),
  {
    name: 'dogecoin 403931',
    proof: hexFile('dogecoin_403931.auxpow.hex'),
    auxHash: Uint8Array.from(
      Buffer.from('0c836b86991631d34a8a68054e2f62db919b39d1ee43c27ab3344d6aa82fa609', 'hex'),
    ).toReversed(),
    chainId: 98,
    work: { bits: 0x1b06f8f0, algorithm: 'scrypt' },
  },
  elastos('elastos_test1_ela-like_btcparent_chain6_h1', 6),
  elastos('elastos_test2_namecoin_btcparent_chain6_h1', 6),
  elastos('elastos_test3_ela_regtest_chain6_h0', 6),
]
