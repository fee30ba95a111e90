import type { EvmAddress } from '@ioex/node/identity'

/** A device whose token was found valid. */
export interface PolledDevice {
  readonly id: EvmAddress
  readonly vendor: EvmAddress
  readonly model: string
  /** Of the token, for its rate limit. */
  readonly token: string
}

/** What a device says of itself with a poll. */
export interface Said {
  readonly version: string | null
  readonly root: string | null
  /** Why it waits; null when it does not. */
  readonly state: string | null
}

/**
 * The polls of a fleet: 50,000 devices that ask once a minute are 833 a second, nearly all of which hear nothing
 * new. So a poll costs no query and no write of its own. Who asks, and what a model is told, is remembered for a
 * moment; when a device was last seen is written for many of them at once, in one transaction every ten seconds.
 */
export interface Polls {
  /** Undefined when the token is unknown, expired or no device's; known within a second of its removal. */
  find(token: string): Promise<PolledDevice | undefined>
  /** JSON of a `PollAnswer`; a second old at most. */
  answer(device: PolledDevice): Promise<string>
  /**
   * The answer to a device that is remembered and says nothing new. Undefined when anything has to
   * be looked up, checked or written.
   */
  recall(token: string, query: string): string | undefined
  /** What it says is written soon; when it was seen, to a few minutes. */
  note(device: PolledDevice, query: string, said: () => Said): void
  /** Its report, which is stored already, is newer than what it said last. */
  reported(device: EvmAddress): void
  /** Writes what waits. */
  stop(): Promise<void>
}
