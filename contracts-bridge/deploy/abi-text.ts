import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Contract, file and name of its constants. */
const CONTRACTS = [
  ['IoexToken', 'ioex-token.ts', 'ioexToken'],
  ['GasCredit', 'gas-credit.ts', 'gasCredit'],
  ['RewardPool', 'reward-pool.ts', 'rewardPool'],
  ['Settlement', 'settlement.ts', 'settlement'],
  ['MergedMining', 'merged-mining.ts', 'mergedMining'],
] as const

interface Artifact {
  readonly abi: unknown
  readonly bytecode: { readonly object: string }
}

/** The files of the folder abi, by name, from what forge compiled into `out`. */
export async function abiFiles(out: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  const heading = '// Written by `npm run abi`; a test compares it with the contracts.\n'
  const bytecode: string[] = []
  for (const [contract, file, name] of CONTRACTS) {
    const path = join(out, `${contract}.sol`, `${contract}.json`)
    const artifact = JSON.parse(await readFile(path, 'utf8')) as Artifact
    const abi = JSON.stringify(artifact.abi, undefined, 2)
    files.set(file, `${heading}export const ${name}Abi = ${abi} as const\n`)
    bytecode.push(`export const ${name}Bytecode =\n  '${artifact.bytecode.object}'\n`)
  }
  files.set('bytecode.ts', heading + bytecode.join('\n'))
  return files
}
