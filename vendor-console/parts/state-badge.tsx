import { Badge } from '@mantine/core'
import type { Device, Release } from '../api/index.ts'

const RELEASE_COLOURS: Record<Release['state'], string> = {
  draft: 'gray',
  published: 'teal',
  superseded: 'blue',
  withdrawn: 'red',
  expired: 'orange',
}

export function ReleaseStateBadge({ state }: { readonly state: Release['state'] }) {
  return (
    <Badge color={RELEASE_COLOURS[state]} variant="dot">
      {state}
    </Badge>
  )
}

/** True words: green is for a signed confirmation that the release runs, nothing less. */
const DEVICE_WORDS: Record<Device['state'], readonly [words: string, colour: string]> = {
  enrolled: ['enrolled', 'gray'],
  waiting: ['waiting', 'gray'],
  downloading: ['downloading', 'blue'],
  written: ['written, not yet confirmed', 'blue'],
  confirmed: ['running, confirmed', 'teal'],
  failed: ['failed', 'red'],
  'fell-back': ['fell back', 'orange'],
}

export function DeviceStateBadge({ state }: { readonly state: Device['state'] }) {
  const [words, colour] = DEVICE_WORDS[state]
  return (
    <Badge color={colour} variant="dot">
      {words}
    </Badge>
  )
}
