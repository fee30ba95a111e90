/** What the processes of `ours.ts` are told and tell. */

export type Wire = 'libp2p' | 'http'

export interface SenderTask {
  /** The same in every run, as its books are. */
  readonly seedHex: string
  readonly home: string
  readonly quotaBytes: number
  readonly rootDigest: `0x${string}`
  /** Whose grants for the root are honoured, until then (unix seconds). */
  readonly signer: `0x${string}`
  readonly trustUntil: number
  readonly grantId: `0x${string}`
}

export interface SenderAddress {
  readonly peerId: string
  readonly multiaddrs: readonly string[]
  readonly http: string
}

export interface ReceiverTask {
  readonly home: string
  readonly quotaBytes: number
  readonly seedHex: string
  readonly root: string
  readonly grant: unknown
  readonly source: SenderAddress
  readonly wire: Wire
}
