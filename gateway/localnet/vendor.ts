import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { VendorCreatedSchema } from '@ioex/node/api'
import { codeOf, systemClock, toHex, unixSeconds, writeFileDurably } from '@ioex/node/base'
import { fundVendor } from '../../contracts-bridge/bridge/index.ts'
import { keepIdentity } from './identities.ts'
import type { LocalNetwork } from './network.ts'
import { requestJson } from './request.ts'

/** The vendor of a local network, with coins in escrow and a token for everything. */
export interface LocalVendor {
  readonly vendor: string
  readonly token: string
}

/** 1,000 ioeX are 10,000 GAS at the price of a fresh deployment: a million GiB. */
const ESCROW_IOEX = 1_000n * 10n ** 8n
const DAILY_CAP_GAS18 = 1_000n * 10n ** 18n
const SIGNER_VALID_S = 365 * 24 * 3600

/** The vendor that is in the folder, or a new one that has bought GAS and authorised its voucher signer. */
export async function keepVendor(folder: string, network: LocalNetwork): Promise<LocalVendor> {
  const path = join(folder, 'vendor.json')
  try {
    return JSON.parse(await readFile(path, 'utf8')) as LocalVendor
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
  }
  const account = (await keepIdentity(join(folder, 'vendor-account'))).identity
  const created = await requestJson<(typeof VendorCreatedSchema)['_output']>(
    `${network.gatewayUrl}/v1/vendors`,
    {
      method: 'POST',
      token: network.operatorToken,
      json: { name: 'Demo vendor', custody: 'managed', account: account.evmAddress },
    },
  )
  await fundVendor({
    rpcUrl: network.chainUrl,
    deployment: network.deployment,
    vendorKey: toHex(account.privateKey.raw),
    treasuryKey: network.treasuryKey,
    ioex: ESCROW_IOEX,
    signer: created.voucherSigner,
    dailyCapGas18: DAILY_CAP_GAS18,
    signerValidUntil: unixSeconds(systemClock) + SIGNER_VALID_S,
  })
  await network.saveChain()
  const vendor = { vendor: created.vendor, token: created.token }
  // Last, so that a start that broke off before this point makes another vendor rather than use half of one.
  await writeFileDurably(path, JSON.stringify(vendor, null, 2), { mode: 0o600 })
  return vendor
}
