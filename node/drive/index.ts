/**
 * A person's backups. A *push* walks a folder and makes a snapshot of it: content-defined, compressed, sealed
 * blocks whose boundaries and keys come from the person's drive secret, so that equal files of two people
 * have nothing in common for those who keep them. A snapshot that changed little costs little. Friends keep
 * the blocks for nothing; each of them can prove nothing, read nothing, and alone can lose nothing.
 *
 * ```
 * head (signed, sealed, at most 1 KiB; at the friends and in the DHT) -> catalog (list of snapshots)
 * snapshot -> index nodes -> pages: about 256 entries each, cut by the hash of the path
 *             page: entries (path, mode, times, link target, content) + one bundle that holds its small files
 *             content of a large file: a recipe tree of its own
 * ```
 * A page depends on its own entries only: one changed file rewrites one page, one bundle's changed chunks and
 * the few nodes above. To *restore*, the 24 words are enough: they give the identity that the friends know,
 * and the key under which the head lies in the DHT. Nothing read from disk or network can make a restore
 * write outside its destination. Kept are bytes, modes, times (to a microsecond), links and empty folders; owners,
 * extended attributes and hard links are not.
 */
export { createDrive, type DriveNeeds } from './create-drive.ts'
export type {
  CheckReport,
  Drive,
  DriveErrorCode,
  DriveRefusal,
  Omission,
  PeerOutcome,
  PruneReport,
  PushOptions,
  PushProgress,
  PushReport,
  RestoreOptions,
  RestoreProgress,
  RestoreReport,
  Snapshot,
} from './types.ts'
