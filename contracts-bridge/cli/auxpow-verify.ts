import { open } from 'node:fs/promises'
import { toHex } from '@ioex/node/base'
import { argument, defineCommand, Failure, required, value, wholeNumber } from '@ioex/node/cli'
import {
  type MinedHeaderRejection,
  verifyMinedHeader,
  type WorkHash,
  workHashOf,
} from '../auxpow/index.ts'

/** The largest block of Bitcoin has 4 MB, in hexadecimal digits twice that, and a line may end. */
const MAX_FILE_BYTES = 8_000_002
/** The field in a header's version. */
const MAX_CHAIN_ID = 0xffff

export const command = defineCommand({
  about:
    'Check the proof of merged mining of a block: the hexadecimal digits of its header with the proof, or of all of it.',
  examples: [
    'ioex auxpow verify namecoin-37174.hex --chain-id 1',
    'ioex auxpow verify block.hex --chain-id 1224 --json',
  ],
  args: { file: argument('FILE', 'with hexadecimal digits') },
  options: {
    chainId: required(
      value(
        '--chain-id N',
        'of the block’s own chain: Namecoin 1, Dogecoin 98, ioeX 1224',
        wholeNumber(0, MAX_CHAIN_ID),
      ),
    ),
    work: value(
      '--work HASH',
      'of the parents: sha256d or scrypt (default: by the chain)',
      asWorkHash,
    ),
  },
  async run({ args, options, say }) {
    const { chainId } = options
    const algorithm = options.work ?? workHashOf(chainId)
    const verdict = verifyMinedHeader(await readHex(args.file), chainId, algorithm)
    if (!verdict.ok) {
      throw new Failure(verdict.reason, `the proof is refused: ${MEANINGS[verdict.reason]}`, {
        fix: 'Check that the file is complete and that --chain-id is the chain of the block.',
      })
    }
    const { hash, parentHash, treeSize, slot, bits, transactions } = verdict.value
    const id = toHex(hash.toReversed()).slice(2)
    const parent = toHex(parentHash.toReversed()).slice(2)
    const bitsHex = bits.toString(16).padStart(8, '0')
    const shown = [
      `Block ${id} of chain ${chainId} is proven.`,
      `Work: ${algorithm}, parent ${parent}, target ${bitsHex}`,
      `Slot ${slot} of ${treeSize}${transactions === undefined ? '' : `, ${transactions} transactions`}`,
    ]
    say.result({
      json: {
        ...{ ok: true, chainId, hash: id, parentHash: parent, work: algorithm, bits: bitsHex },
        ...{ treeSize, slot, transactions: transactions ?? null },
      },
      text: shown.join('\n'),
      id,
    })
    return undefined
  },
})

async function readHex(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const text = size > MAX_FILE_BYTES ? '' : (await file.readFile('utf8')).trim()
    if (!/^([0-9a-fA-F]{2})+$/.test(text)) {
      throw new Failure('not-hex', `${path} does not hold the hexadecimal digits of a block`, {
        fix: 'Give a file with nothing but the digits, as "getblock HASH 0" of a node prints them.',
      })
    }
    return Uint8Array.from(Buffer.from(text, 'hex'))
  } finally {
    await file.close()
  }
}

function asWorkHash(given: string): WorkHash {
  if (given === 'sha256d' || given === 'scrypt') return given
  throw new RangeError('it must be sha256d or scrypt')
}

const MEANINGS: Readonly<Record<MinedHeaderRejection, string>> = {
  malformed: 'the bytes do not have the shape of a header with a proof',
  'coinbase-index': 'the transaction that commits is not the first of the parent',
  'own-chain-id': 'the parent is a block of the same chain',
  'chain-branch-long': 'the tree of merge-mined chains has more than 30 levels',
  'coinbase-not-in-parent': 'the coinbase is not in the parent',
  'no-inputs': 'the coinbase has no input',
  'root-missing': 'the coinbase does not commit to this block',
  'magic-twice': 'the coinbase marks more than one commitment',
  'magic-not-adjacent': 'the mark is not directly before the commitment',
  'root-late': 'the commitment is not marked and starts after byte 20',
  'size-nonce-missing': 'size and nonce of the tree are missing',
  'size-mismatch': 'the size of the tree is not that of its branch',
  'wrong-slot': 'the block is not in the slot of its chain',
  'pow-above-target': 'the parent has less work than the block’s target asks for',
  'no-auxpow': 'the header says that it has no proof',
  'other-chain': 'the header names another chain',
  'transactions-not-in-header': 'the transactions are not those of the header',
}
