import { setFlagsFromString } from 'node:v8'

/**
 * For processes that move bulk, at their very start. Over libp2p blocks live outside V8's heap in buffers that only
 * a collection frees. By default V8 marks the whole heap anew after each 16 MiB of them or so, on every thread that
 * it has: measured, a sixth of a sender's time. Counted with the heap they let it grow as everything else does. The
 * process takes 100 MiB more then.
 */
export function tuneForBulk(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}

/**
 * For devices, at their very start and before they load anything else: new space that has grown (to 16 MiB) never
 * shrinks. The heap may become a fifth larger before it is collected; V8 would let it become three times as large
 * while memory is plenty. Measured with a 1 GiB image (`npm run bench:ota -- memory`): a peak of 182 MiB from a seed
 * and 162 MiB from a file, instead of 240 and 228 with a heap that may double, for a sixth more processor time.
 */
export function tuneForSmallMemory(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--heap-growing-percent=20')
}
