import type { Settlement } from './settlement.ts'

/** The whitepaper's case: 5 million devices take an update of 50 MB. */
const DEVICES = 5_000_000
const IMAGE_MB = 50
const MB_PER_GB = 1024
const CLOUD_USD_PER_GB = 0.1
/** The whitepaper's rate: an ioeX worth 10 USDT gives 10 GAS. */
const USD_PER_GAS = 1
const MIB = 1024 * 1024

export interface Cost {
  readonly cloudUsd: number
  readonly oursUsd: number
  /** What ours rests on. */
  readonly devices: number
  readonly imageMB: number
  /** Sealed bytes that a device fetches for each byte of the image, as measured in this run. */
  readonly fetchedPerImageByte: number
  /** Bytes that seeds send, all of them paid. */
  readonly seedEgressBytes: number
  readonly gasPerGiB: number
  readonly usdPerGas: number
}

/** Every byte comes from a paid seed here; bytes between devices would cost nothing. */
export function costFor5MillionDevices(
  settlement: Pick<Settlement, 'priceGas18' | 'unitBytes'>,
  measured: {
    readonly fetchedBytes: number
    readonly imageBytes: number
    readonly devices: number
  },
): Cost {
  const fetchedPerImageByte = measured.fetchedBytes / (measured.imageBytes * measured.devices)
  const seedEgressBytes = DEVICES * IMAGE_MB * MIB * fetchedPerImageByte
  const gas =
    (seedEgressBytes / Number(settlement.unitBytes)) * (Number(settlement.priceGas18) / 1e18)
  return {
    cloudUsd: Math.round(((DEVICES * IMAGE_MB) / MB_PER_GB) * CLOUD_USD_PER_GB),
    oursUsd: Math.round(gas * USD_PER_GAS),
    devices: DEVICES,
    imageMB: IMAGE_MB,
    fetchedPerImageByte,
    seedEgressBytes,
    gasPerGiB: ((Number(settlement.priceGas18) / 1e18) * 1024 * MIB) / Number(settlement.unitBytes),
    usdPerGas: USD_PER_GAS,
  }
}
