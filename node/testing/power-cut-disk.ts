/**
 * Disks of real folders that lose their power. Every change that JavaScript of this process makes below such a
 * folder is seen, whichever module makes it, as the functions of `node:fs` are replaced for all of them; one that
 * is not modelled throws. What native code writes is not seen: SQLite's files, which are taken over as they are at
 * the cut (its transactions are whole between two calls, and synced one by one). `unseen()` compares the real
 * folder with the model, so that nothing else goes by.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { resolve, sep } from 'node:path'
import { type Call, PROMISES, SYNC } from './power-cut-calls.ts'
import {
  Disk,
  isStraight,
  NotModelled,
  PowerIsOff,
  type PowerCutDisk,
  type PowerCutOptions,
  straight,
} from './power-cut-state.ts'

export { LOSSES, type Loss } from './power-cut-model.ts'
export type { DiskOperation, Moment, PowerCutDisk, PowerCutOptions } from './power-cut-state.ts'

const mounted = new Map<string, Disk>()

function diskOf(path: unknown): Disk | undefined {
  if (typeof path !== 'string' || mounted.size === 0) return undefined
  const whole = resolve(path)
  for (const [folder, disk] of mounted) {
    if (whole === folder || whole.startsWith(folder + sep)) return disk
  }
  return undefined
}

/** They change nothing; without power they fail as well. */
const READS =
  /^(access|exists|glob|lstat|opendir|readFile|readdir|readlink|realpath|stat|statfs)(Sync)?$/
/** These get no path, or one that need not be there. */
const OTHERS =
  /^(_|[A-Z]|close|fchmod|fchown|fdatasync|fstat|fsync|ftruncate|futimes|read(v)?(Sync)?$|write(v)?(Sync)?$|promises|constants|openAsBlob|watch|unwatch|createReadStream|mkdtemp|mkdtempDisposable)/

function replace(module: Record<string, unknown>, calls: Readonly<Record<string, Call>>): void {
  for (const [name, original] of Object.entries(module)) {
    if (typeof original !== 'function' || OTHERS.test(name)) continue
    const call = original as (...given: unknown[]) => unknown
    const modelled = calls[name] as ((disk: Disk, ...given: unknown[]) => unknown) | undefined
    module[name] = Object.assign(function (this: unknown, ...given: unknown[]) {
      const disk = isStraight() ? undefined : (diskOf(given[0]) ?? diskOf(given[1]))
      if (disk === undefined) return call.apply(this, given)
      if (modelled !== undefined) return modelled(disk, ...given)
      if (!READS.test(name)) throw new NotModelled(name, String(given[0]))
      if (!disk.isDead) return straight(() => call.apply(this, given))
      if (name.endsWith('Sync')) throw new PowerIsOff()
      return Promise.reject(new PowerIsOff())
    }, original)
  }
}

let isReplaced = false

/**
 * Must be called before the modules that are to be watched are loaded: some keep the functions of `node:fs` that
 * they find when they start.
 */
export function watchFileSystem(): void {
  if (isReplaced) return
  isReplaced = true
  replace(fs.promises as unknown as Record<string, unknown>, PROMISES)
  replace(fs as unknown as Record<string, unknown>, SYNC)
  syncBuiltinESMExports()
}

/** The folder is there, and all that is in it is durable. Everything below it is on this disk until it is unmounted. */
export function mountDisk(folder: string, options: PowerCutOptions = {}): PowerCutDisk {
  if (!isReplaced) throw new Error('call watchFileSystem() before anything else is imported')
  const whole = resolve(folder)
  const disk = new Disk(whole, options, () => mounted.delete(whole))
  mounted.set(whole, disk)
  return disk
}
