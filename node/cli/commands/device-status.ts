import type { DeviceState, Enrolled } from '../../device/index.ts'
import { defineCommand } from '../command.ts'
import { notEnrolled } from '../device-run.ts'
import { formatBytes, formatDuration, formatTable } from '../format.ts'
import { homeFolder, homeOption, homePaths } from '../home.ts'
import { printable } from '../say.ts'

export const command = defineCommand({
  about: 'Show what runs on this device, what it is doing, and why it waits.',
  examples: ['ioex device status', 'ioex device status --json'],
  options: { home: homeOption },
  next: 'ioex device run --once',
  async run({ options, say, system }) {
    const home = homeFolder(options.home, system.env)
    const folder = homePaths(home).device
    const { readEnrollment, readState } = await import('../../device/index.ts')
    const enrolled = await readEnrollment(folder, system)
    if (enrolled === undefined) throw notEnrolled(home)
    const state = await readState(folder)
    say.result({
      json: jsonOf(enrolled, state),
      text: textOf(enrolled, state, system.clock.nowMs()),
      id: state.installed?.version ?? 'none',
    })
    return undefined
  },
})

function jsonOf({ enrollment, gateway }: Enrolled, state: DeviceState) {
  const { phase, installed, previous, waiting, rejected, heardMs, outbox } = state
  return {
    device: enrollment.device,
    vendor: enrollment.vendor,
    model: enrollment.model,
    gateway,
    phase: phase.name,
    target: targetOf(state)?.version ?? null,
    installed,
    previous,
    waiting,
    rejected,
    gatewayHeardAt: heardMs === null ? null : new Date(heardMs).toISOString(),
    reportsPending: outbox.length,
  }
}

function targetOf({ phase }: DeviceState) {
  if (phase.name === 'idle') return undefined
  return phase.name === 'fetching' ? phase.target : phase.candidate
}

function textOf({ enrollment, gateway }: Enrolled, state: DeviceState, nowMs: number): string {
  const { installed, waiting, heardMs, outbox } = state
  const ago = (ms: number) => `${formatDuration(nowMs - ms)} ago`
  const runs =
    installed === null
      ? 'nothing yet'
      : `${installed.version}, confirmed ${ago(installed.sinceMs)} (${formatBytes(installed.imageBytes)})`
  const rows = [
    ['running', runs],
    ['doing', doingOf(state)],
    ['waiting', waiting === null ? undefined : waitingText(waiting, nowMs)],
    ['model', enrollment.model],
    ['gateway', `${gateway}, ${heardMs === null ? 'not heard yet' : `heard ${ago(heardMs)}`}`],
    ['reports', outbox.length === 0 ? 'all told' : `${outbox.length} not told yet`],
  ]
  return formatTable(rows.flatMap(([name, text]) => (name && text ? [[name, text]] : [])))
}

function doingOf(state: DeviceState): string {
  const version = targetOf(state)?.version
  switch (state.phase.name) {
    case 'idle':
      return 'nothing'
    case 'fetching':
      return `downloading ${version}`
    case 'written':
      return `${version} is written, to be installed`
    case 'trying':
      return `trying ${version}`
    case 'falling-back':
      return `falling back from ${version}`
  }
}

function waitingText(waiting: NonNullable<DeviceState['waiting']>, nowMs: number): string {
  return `${waiting.reason} for ${formatDuration(nowMs - waiting.sinceMs)}: ${printable(waiting.detail)}`
}
