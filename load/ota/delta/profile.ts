import type { ChunkProfile } from '@ioex/node/chunks'

/** 4/16/64 KiB: for images whose content is compressed already. */
export const PROFILE_16K: ChunkProfile = { minBytes: 4_096, averageBytes: 16_384, maxBytes: 65_536 }
