/**
 * Mutated proofs before three judges: the TypeScript here, the contract on a development chain, and the reference
 * in Python. `npm run -w contracts-bridge auxpow:agreement -- 100000` is the long run.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { HDNodeWallet, Interface } from 'ethers'
import { toHex } from '@ioex/node/base'
import { mergedMiningAbi } from '../abi/merged-mining.ts'
import { deployAll, DEVELOPMENT_MNEMONIC, startAnvil } from '../deploy/index.ts'
import { type Case, createMutations } from './mutations.ts'
import { AUXPOW_ERRORS, type AuxPowRejection } from './rejections.ts'
import { verifyAuxPow } from './verify.ts'

const CHAIN_ID = 31_337
/** Calls in one request to the chain, and lines in one run of Python: some hundred KB. */
const BATCH = 200

type Verdict = 'ok' | AuxPowRejection

/** The reference's words for what it refuses. */
const REFERENCE_WORDS: readonly (readonly [RegExp, AuxPowRejection])[] = [
  [/^malformed/, 'malformed'],
  [/^not a generate/, 'coinbase-index'],
  [/^parent has our chain id/, 'own-chain-id'],
  [/^chain branch too long/, 'chain-branch-long'],
  [/^coinbase not in parent/, 'coinbase-not-in-parent'],
  [/^no inputs/, 'no-inputs'],
  [/^chain merkle root missing/, 'root-missing'],
  [/^multiple mm headers/, 'magic-twice'],
  [/^header not just before root/, 'magic-not-adjacent'],
  [/^root too late/, 'root-late'],
  [/^size\/nonce missing/, 'size-nonce-missing'],
  [/^size mismatch/, 'size-mismatch'],
  [/^wrong slot/, 'wrong-slot'],
  [/^pow above target/, 'pow-above-target'],
]

export interface Agreement {
  readonly cases: number
  /** How often each verdict was given. */
  readonly verdicts: Readonly<Partial<Record<Verdict, number>>>
  readonly disagreements: readonly string[]
}

export async function compareJudges(count: number, seed: string): Promise<Agreement> {
  const anvil = await startAnvil({ port: 0, chainId: CHAIN_ID })
  try {
    const deployerKey = HDNodeWallet.fromPhrase(DEVELOPMENT_MNEMONIC).privateKey as `0x${string}`
    const made = await deployAll({ rpcUrl: anvil.url, chainId: CHAIN_ID, deployerKey })
    const next = createMutations(seed)
    const verdicts: Partial<Record<Verdict, number>> = {}
    const disagreements: string[] = []
    for (let done = 0; done < count; done += BATCH) {
      const cases = Array.from({ length: Math.min(BATCH, count - done) }, next)
      const [solidity, python] = await Promise.all([
        contractVerdicts(anvil.url, made.mergedMining, cases),
        referenceVerdicts(cases),
      ])
      cases.forEach((item, at) => {
        const ours = verdictOf(item)
        verdicts[ours] = (verdicts[ours] ?? 0) + 1
        const reference = python[at]
        // The reference also takes numbers in more bytes than they need, which Bitcoin Core refuses.
        const same = ours === reference || (ours === 'malformed' && reference !== 'ok')
        if (ours !== solidity[at] || !same) {
          const told = `TypeScript ${ours}, contract ${solidity[at]}, reference ${reference}`
          disagreements.push(`${item.what}: ${told}: ${toHex(item.proof)}`)
        }
      })
    }
    return { cases: count, verdicts, disagreements }
  } finally {
    await anvil.stop()
  }
}

function verdictOf({ proof, auxHash, chainId, bits }: Case): Verdict {
  const work = bits === undefined ? undefined : ({ bits, algorithm: 'sha256d' } as const)
  const verdict = verifyAuxPow(proof, { auxHash, chainId, work })
  return verdict.ok ? 'ok' : verdict.reason
}

const contract = new Interface(mergedMiningAbi)
const codeOfError = new Map(
  Object.entries(AUXPOW_ERRORS).map(([code, name]) => [
    contract.getError(name)?.selector,
    code as AuxPowRejection,
  ]),
)

/** The ABI encoding by hand: ethers takes longer over it than the chain over the proof. */
function callData({ proof, auxHash, chainId, bits }: Case): string {
  const name = bits === undefined ? 'verifyAuxPowStructure' : 'verifyAuxPow'
  const selector = contract.getFunction(name)?.selector ?? ''
  const words = bits === undefined ? [chainId] : [chainId, bits]
  const word = (value: number) => value.toString(16).padStart(64, '0')
  const padded = Buffer.alloc(Math.ceil(proof.length / 32) * 32)
  padded.set(proof)
  return [
    selector,
    word(32 * (words.length + 2)),
    Buffer.from(auxHash).toString('hex'),
    ...words.map(word),
    word(proof.length),
    padded.toString('hex'),
  ].join('')
}

async function contractVerdicts(
  url: string,
  to: string,
  cases: readonly Case[],
): Promise<(Verdict | string)[]> {
  const requests = cases.map((item, id) => {
    const params = [{ to, data: callData(item) }, 'latest']
    return { jsonrpc: '2.0', id, method: 'eth_call', params }
  })
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(requests),
  })
  const answers = (await answer.json()) as {
    id: number
    result?: string
    error?: { message: string; data?: string }
  }[]
  const verdicts: (Verdict | string)[] = []
  for (const { id, result, error } of answers) {
    verdicts[id] =
      result === undefined
        ? (codeOfError.get(error?.data?.slice(0, 10)) ??
          `an answer without a code: ${error?.message}`)
        : 'ok'
  }
  return verdicts
}

/** The words of `python3 reference.py`; a word that is not known is told as it is. */
async function referenceVerdicts(cases: readonly Case[]): Promise<(Verdict | string)[]> {
  const child = spawn('python3', ['-I', join(import.meta.dirname, 'reference.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = cases.map(({ proof, auxHash, chainId, bits }) =>
    [toHex(proof).slice(2), toHex(auxHash).slice(2), chainId, bits ?? '-'].join(' '),
  )
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  // Python that ended early says so by its code below.
  child.stdin.on('error', () => undefined)
  child.stdin.end(`${lines.join('\n')}\n`)
  let text = ''
  for await (const part of child.stdout.setEncoding('utf8')) text += String(part)
  const code = await ended
  if (code !== 0) throw new Error(`python3 ended with ${code}`)
  return text
    .trim()
    .split('\n')
    .map((line) =>
      line.startsWith('ok ')
        ? 'ok'
        : (REFERENCE_WORDS.find(([words]) => words.test(line))?.[1] ?? line),
    )
}

if (import.meta.main) {
  const count = Number(process.argv[2] ?? 100_000)
  const startedMs = performance.now()
  const { disagreements, ...rest } = await compareJudges(count, process.argv[3] ?? 'agreement')
  const seconds = (performance.now() - startedMs) / 1_000
  process.stdout.write(
    `${JSON.stringify({ ...rest, disagreements: disagreements.length, seconds })}\n`,
  )
  for (const line of disagreements.slice(0, 10)) process.stderr.write(`${line}\n`)
  process.exitCode = disagreements.length === 0 ? 0 : 1
}
