import type { Clock } from '../base/index.ts'
import type { DeviceEvent } from '../device/index.ts'
import type { Progress } from './progress.ts'
import { type JsonObject, printable, type Say } from './say.ts'

/** What the agent does, as JSON lines for programs that follow it, else as a bar and notes. */
export function createDeviceDisplay(
  say: Say,
  options: {
    readonly follows: boolean
    readonly clock: Pick<Clock, 'nowMs'>
    /** All blocks come from one file. */
    readonly fromFile?: boolean
  },
) {
  let progress: Progress | undefined
  const stop = () => {
    progress?.stop()
    progress = undefined
  }
  return {
    stop,
    show(event: DeviceEvent): void {
      if (say.json) {
        if (options.follows) say.event({ json: jsonOf(event, options.clock), text: '' })
        return
      }
      if (event.name === 'progress') {
        progress ??= say.progress({
          label: `${options.fromFile === true ? 'Writing' : 'Downloading'} ${event.target.version}`,
          total: event.imageBytes,
          unit: 'bytes',
        })
        const from = event.sources === 1 ? 'from 1 source' : `from ${event.sources} sources`
        progress.update({
          done: event.stagedBytes,
          ...(options.fromFile === true ? {} : { detail: from }),
        })
        return
      }
      const text = textOf(event)
      if (text === undefined) return
      stop()
      if (event.name === 'confirmed' && options.follows) {
        say.event({ json: {}, text, id: event.installed.version })
      } else say.note(text)
    },
  }
}

function jsonOf(event: DeviceEvent, clock: Pick<Clock, 'nowMs'>): JsonObject {
  const { name, ...rest } = event
  return { event: name, atMs: clock.nowMs(), ...rest }
}

function textOf(event: DeviceEvent): string | undefined {
  switch (event.name) {
    case 'heard':
      return `Heard of ${printable(event.version)}.`
    case 'staged':
      return `Reading ${event.target.version} back from disk.`
    case 'switching':
      return event.attempt === 1
        ? `Installing ${event.candidate.version}.`
        : `Installing ${event.candidate.version}, try ${event.attempt}.`
    case 'confirmed':
      return `Running ${event.installed.version}, confirmed.`
    case 'falling-back':
      return `${event.candidate.version} did not pass its check; going back.`
    case 'waiting':
      return `Waiting: ${event.reason} (${printable(event.detail)}).`
    case 'rolling-back':
      return `${event.from.version} is taken back; going to ${event.to.version}.`
    case 'order-refused':
      return `Refused a rollout order: ${event.reason}.`
    case 'fetching':
    case 'progress':
    case 'written':
    case 'switched':
    case 'trying':
    case 'fell-back':
    case 'up-to-date':
    case 'network-file':
      return undefined
  }
}
