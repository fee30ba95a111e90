import { type FileLayer, readWhole } from './file-layer.ts'
import { CLOSURE_CACHE_BYTES } from './limits.ts'

/**
 * The closures that are asked about over and over, whole in memory: a server asks for every block that it sends
 * whether it is of the root, and a read of the disk for that costs as much as reading the block. Closures never
 * change, so all that can go wrong is that one was removed.
 */
export interface ClosureCache {
  /** The file's content; undefined when it is not there. */
  get(path: string): Promise<Uint8Array | undefined>
  forget(path: string): void
}

export function createClosureCache(files: FileLayer): ClosureCache {
  /** The longest unused first. */
  const kept = new Map<string, Promise<Uint8Array | undefined>>()
  const sizes = new Map<string, number>()
  let keptBytes = 0

  const drop = (path: string) => {
    kept.delete(path)
    keptBytes -= sizes.get(path) ?? 0
    sizes.delete(path)
  }
  const makeRoom = () => {
    for (const path of kept.keys()) {
      if (keptBytes <= CLOSURE_CACHE_BYTES) return
      if (sizes.has(path)) drop(path)
    }
  }
  const load = async (path: string): Promise<Uint8Array | undefined> => {
    const bytes = await readWhole(files, path)
    if (bytes === undefined || !kept.has(path)) return bytes
    sizes.set(path, bytes.byteLength)
    keptBytes += bytes.byteLength
    makeRoom()
    return bytes
  }
  return {
    get(path) {
      const known = kept.get(path)
      if (known !== undefined) {
        kept.delete(path)
        kept.set(path, known)
        return known
      }
      const loading = load(path)
      kept.set(path, loading)
      loading.then(
        (bytes) => {
          if (bytes === undefined && kept.get(path) === loading) drop(path)
        },
        () => {
          if (kept.get(path) === loading) drop(path)
        },
      )
      return loading
    },
    forget: drop,
  }
}
