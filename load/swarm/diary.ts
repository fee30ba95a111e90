import type { DemoDevice } from '@ioex/gateway/localnet'

/** What a device has said of one version, with the time it gave itself. */
interface Entry {
  readonly atMs: number
  readonly event: string
  readonly percent: number | undefined
}

export interface Diary {
  /** Every entry about that version so far. */
  of(version: string): readonly Entry[]
  /** When the whole image was on disk, and when it was confirmed; rejects when the device ends. */
  installed(
    version: string,
  ): Promise<{ readonly stagedAtMs: number; readonly installedAtMs: number }>
}

interface Line {
  readonly event?: string
  readonly atMs?: number
  readonly percent?: number
  readonly version?: string
  readonly detail?: string
  readonly target?: { readonly version: string }
  readonly candidate?: { readonly version: string }
  readonly installed?: { readonly version: string } | null
}

export function createDiary(device: DemoDevice): Diary {
  const entries = new Map<string, Entry[]>()
  const waits = new Map<string, () => void>()
  const complaints: string[] = []
  device.process.onLine((raw) => {
    const line = raw as Line
    const { event, atMs, percent } = line
    if (event === undefined || atMs === undefined) return
    if (event === 'waiting') complaints.push(line.detail ?? event)
    const version =
      line.version ?? line.target?.version ?? line.candidate?.version ?? line.installed?.version
    if (version === undefined) return
    const known = entries.get(version) ?? []
    entries.set(version, known)
    known.push({ atMs, event, percent })
    if (event === 'confirmed') waits.get(version)?.()
  })
  const at = (version: string, event: string) =>
    entries.get(version)?.find((entry) => entry.event === event)?.atMs

  return {
    of: (version) => entries.get(version) ?? [],
    async installed(version) {
      if (at(version, 'confirmed') === undefined) {
        await new Promise<void>((resolve, reject) => {
          waits.set(version, resolve)
          void device.process.ended.then(() => {
            const said = complaints.length === 0 ? '' : `; it waited: ${complaints.join('; ')}`
            reject(new Error(`${device.name} ended before it had ${version}${said}`))
          })
        })
      }
      const installedAtMs = at(version, 'confirmed') ?? Number.NaN
      return { stagedAtMs: at(version, 'staged') ?? Number.NaN, installedAtMs }
    },
  }
}
