import { utf8 } from '../base/index.ts'
import { keccak256 } from '../identity/index.ts'
import { faultOf } from './struct.ts'
import { type LedgerDomain, receiptsError } from './types.ts'

const TYPE_HASH = keccak256(
  utf8('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)'),
)
const NAME_HASH = keccak256(utf8('ioeX'))
const VERSION_HASH = keccak256(utf8('1'))

/** A node works under one domain, a gateway during a move of the contract under two. */
const MAX_CACHED = 16
const separators = new Map<string, Uint8Array>()

/** hashStruct(EIP712Domain), 32 bytes, remembered per domain. Throws message-malformed. */
export function domainSeparator(domain: LedgerDomain): Uint8Array {
  const key = `${domain.chainId}/${domain.verifyingContract}`
  const known = separators.get(key)
  if (known !== undefined) return known
  const separator = hashDomain(domain)
  if (separators.size >= MAX_CACHED) separators.clear()
  separators.set(key, separator)
  return separator
}

function hashDomain({ chainId, verifyingContract }: LedgerDomain): Uint8Array {
  const fault = faultOf('address', verifyingContract)
  if (fault !== undefined || !Number.isSafeInteger(chainId) || chainId < 1) {
    throw receiptsError(
      'message-malformed',
      fault === undefined
        ? 'the chainId is not a whole number from 1 to 2^53 - 1'
        : `verifyingContract ${fault}`,
      { blame: 'caller', fix: 'Take the domain from the network file.' },
    )
  }
  const words = Buffer.alloc(5 * 32)
  words.set(TYPE_HASH)
  words.set(NAME_HASH, 32)
  words.set(VERSION_HASH, 64)
  words.writeBigUInt64BE(BigInt(chainId), 96 + 24)
  words.write(verifyingContract.slice(2), 128 + 12, 'hex')
  return keccak256(words)
}

/** keccak256(0x1901 || domain separator || struct hash): what is signed, 32 bytes. Throws message-malformed. */
export function digest(domain: LedgerDomain, structHash: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(66)
  bytes[0] = 0x19
  bytes[1] = 0x01
  bytes.set(domainSeparator(domain), 2)
  bytes.set(structHash, 34)
  return keccak256(bytes)
}
