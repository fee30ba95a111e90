import { COHORT_MAX_DEVICES } from '../api/index.ts'
import { KIB, MIB } from '../base/index.ts'

/** Lists of a delta: 4,096 patches each, as many as `openPatches` takes. */
export const DELTA_MAX_LISTS = 32
/** 32 links and keys, two digests. */
export const DELTA_ROOT_MAX_BYTES = 4 * KIB
/** A delta that costs more of what it replaces is not published: seeds would keep it for next to nothing. */
export const DELTA_MAX_SHARE = 0.9
/** Earlier releases from which there is a delta: who skipped more fetches chunks. */
export const DELTA_BASES = 3
/** A release root has about 400 bytes; model and version have at most 64 letters each. */
export const RELEASE_ROOT_MAX_BYTES = 2 * KIB
/** As chunks bounds files: 1 TiB. */
export const IMAGE_MAX_BYTES = 1024 * 1024 * MIB
/** One cohort; one age stanza is 98 bytes. */
export const WRAP_MAX_RECIPIENTS = COHORT_MAX_DEVICES
/** A full wrap has 1.8 KB. */
export const WRAP_MAX_BYTES = 8 * KIB
/** Cohorts whose keys one release file holds: 262,144 devices, 28 MiB. A device tries half of them on average. */
export const RELEASE_FILE_MAX_WRAPS = 16_384
/** 264 metadata files and 16,384 wraps, each with a link of 41 bytes, the files with a name. */
export const RELEASE_FILE_HEAD_MAX_BYTES = MIB
/** 104 bytes each: 54 MB for 32 GiB of distinct content. Older chunks fall out first. */
export const KNOWN_MAX_CHUNKS = 524_288

/** Root metadata with a dozen keys has 3 KiB; tuf-js allows 512 kB. */
export const ROOT_MAX_BYTES = 64 * KIB
/** As in tuf-js; it names one file. */
export const TIMESTAMP_MAX_BYTES = 16 * KIB
/** 180 bytes per product line. */
export const SNAPSHOT_MAX_BYTES = 128 * KIB
/** 128 releases of 700 bytes, each with room for deltas; or the keys and roles of 256 lines. */
export const TARGETS_MAX_BYTES = 512 * KIB
/**
 * Entries of any one map or list in a TUF file. @tufjs/models copies a map once per entry: 300 cost 20 ms, 3,000
 * cost 6 seconds and 27,000 (a megabyte) more than five minutes, before any signature is looked at.
 */
export const TUF_MAP_MAX_ENTRIES = 300
/** TUF files are 6 deep, `custom` included. */
export const TUF_MAX_DEPTH = 16
/** Releases that a line names; the oldest give way. Devices want the newest, or the one before it. */
export const LINE_MAX_RELEASES = 128
/** As in tuf-js: a device that was off for long catches up in steps of so many root keys. */
export const ROOT_ROTATIONS_MAX = 256
/** As in tuf-js: delegated roles that are asked for one target, so that a chain of them ends. */
export const DELEGATIONS_MAX = 32
/** Models that one device follows: its own and those of a few parts in it. */
export const DEVICE_MODELS_MAX = 16
/** Product lines of one vendor: as many as a snapshot may name (TUF_MAP_MAX_ENTRIES), with room to spare. */
export const LINES_MAX = 256

/** Places in the order in which a release reaches the devices: a phase is told to a hundredth of a percent. */
export const ROLLOUT_BUCKETS = 10_000
/** Phases of one rollout: canary, a few steps, everybody; each is 250 bytes in the line. */
export const ROLLOUT_MAX_PHASES = 16
/** Groups that a rollout may be limited to. */
export const ROLLOUT_MAX_GROUPS = 16
/** How long an order stays believed when nobody renews it: what a gateway that hides a hold can gain. */
export const ROLLOUT_ORDER_MAX_LIFETIME_S = 24 * 60 * 60
/** An order may be so far ahead of a device's clock. */
export const ROLLOUT_CLOCK_SKEW_S = 5 * 60
