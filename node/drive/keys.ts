import { hkdfSync } from 'node:crypto'

/** What the drive secret is used for; each use has a key of its own, so that none tells of another. */
export interface DriveKeys {
  /** Seals chunks, nodes and pages. */
  readonly content: Uint8Array
  /** Moves chunk boundaries. */
  readonly boundary: Uint8Array
  /** Seals the head. */
  readonly head: Uint8Array
}

export function deriveDriveKeys(driveSecret: Uint8Array): DriveKeys {
  const derive = (use: string) =>
    new Uint8Array(hkdfSync('sha256', driveSecret, new Uint8Array(0), `ioex/drive/${use}/1`, 32))
  return { content: derive('content'), boundary: derive('boundary'), head: derive('head') }
}
