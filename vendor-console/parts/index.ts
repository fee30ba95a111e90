/** Shared controls: labelled, working by keyboard, fetching nothing themselves. */
export { CopyText } from './copy-text.tsx'
export { Empty } from './empty.tsx'
export { bytes, gas, short, time } from './format.ts'
export { Loaded } from './loaded.tsx'
export { DeviceStateBadge, ReleaseStateBadge } from './state-badge.tsx'
export { Troubles } from './troubles.tsx'
