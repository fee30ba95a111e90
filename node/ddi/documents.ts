import { hash } from 'node:crypto'
import type { AutoConfirm, DdiAction, DdiModule, DdiStatus } from './fleet.ts'

/** Where a device's calls are, as the client itself wrote it: `scheme://host/base/{tenant}/controller/v1/{id}`. */
export interface Place {
  readonly url: string
}

interface Link {
  readonly href: string
}

export function pollRoot(place: Place, status: DdiStatus, pollS: number) {
  const { action, installedActionId, wantsAttributes } = status
  const links: Record<string, Link> = {}
  if (action?.state === 'canceling') {
    links['cancelAction'] = { href: `${place.url}/cancelAction/${action.id}` }
  } else if (action?.isHeld === true) {
    // No link. DDI's own word, `"update": "skip"`, SWUpdate answers with success of what it never installed, and
    // older releases of rauc-hawkbit-updater do not read it.
  } else if (action?.state === 'awaiting-confirmation') {
    links['confirmationBase'] = {
      href: `${place.url}/confirmationBase/${action.id}?c=${stamp(action)}`,
    }
  } else if (action !== undefined) {
    links['deploymentBase'] = {
      href: `${place.url}/deploymentBase/${action.id}?c=${stamp(action)}`,
    }
  }
  if (installedActionId !== undefined) {
    links['installedBase'] = { href: `${place.url}/installedBase/${installedActionId}` }
  }
  if (wantsAttributes) links['configData'] = { href: `${place.url}/configData` }
  return { config: { polling: { sleep: clockText(pollS) } }, _links: links }
}

/** `HH:MM:SS`, which is all that clients parse. */
function clockText(seconds: number): string {
  const two = (number: number) => String(Math.floor(number)).padStart(2, '0')
  const bounded = Math.min(Math.max(1, seconds), 23 * 3_600 + 59 * 60 + 59)
  return `${two(bounded / 3_600)}:${two((bounded / 60) % 60)}:${two(bounded % 60)}`
}

/** Changes when the deployment does, so that the link, and with it the ETag of the root, changes too. */
function stamp(action: DdiAction): number {
  const text = JSON.stringify([action.id, action.module.artifact.sha256])
  return Number.parseInt(hash('sha256', text).slice(0, 8), 16) | 0
}

/** `historyMessages`: 0 for none, below 0 for all that there are. */
export function deploymentBase(place: Place, action: DdiAction, historyMessages: number) {
  return {
    id: String(action.id),
    deployment: deploymentOf(place, action),
    ...historyOf(action, historyMessages),
  }
}

export function confirmationBaseOf(place: Place, action: DdiAction, historyMessages: number) {
  return {
    id: String(action.id),
    confirmation: deploymentOf(place, action),
    ...historyOf(action, historyMessages),
  }
}

function deploymentOf(place: Place, action: DdiAction) {
  const { module } = action
  return {
    download: 'forced',
    update: 'forced',
    chunks: [
      {
        part: 'os',
        version: module.version,
        name: module.name,
        artifacts: artifactList(place, module),
      },
    ],
  }
}

/** Over TLS as `download`, over plain HTTP as `download-http`; clients take the first if both are there. */
export function artifactList(place: Place, { id, artifact }: DdiModule) {
  const { filename, bytes, sha1, md5, sha256 } = artifact
  const href = `${place.url}/softwaremodules/${id}/artifacts/${encodeURIComponent(filename)}`
  const suffix = href.startsWith('https:') ? '' : '-http'
  return [
    {
      filename,
      hashes: { sha1, md5, sha256 },
      size: bytes,
      _links: {
        [`download${suffix}`]: { href },
        [`md5sum${suffix}`]: { href: `${href}.MD5SUM` },
      },
    },
  ]
}

const HISTORY_STATUS = {
  'awaiting-confirmation': 'WAIT_FOR_CONFIRMATION',
  offered: 'RUNNING',
  running: 'RUNNING',
  canceling: 'CANCELING',
  canceled: 'CANCELED',
  finished: 'FINISHED',
  error: 'ERROR',
} as const

function historyOf(action: DdiAction, historyMessages: number) {
  if (historyMessages === 0) return {}
  const messages = historyMessages < 0 ? action.messages : action.messages.slice(0, historyMessages)
  if (messages.length === 0) return {}
  return { actionHistory: { status: HISTORY_STATUS[action.state], messages } }
}

export function cancelDocument({ id }: DdiAction) {
  return { id: String(id), cancelAction: { stopId: String(id) } }
}

export function confirmationBase(
  place: Place,
  auto: AutoConfirm | undefined,
  action: DdiAction | undefined,
) {
  const links: Record<string, Link> = {}
  if (auto === undefined) {
    links['activateAutoConfirm'] = { href: `${place.url}/confirmationBase/activateAutoConfirm` }
  } else {
    links['deactivateAutoConfirm'] = { href: `${place.url}/confirmationBase/deactivateAutoConfirm` }
  }
  if (action?.state === 'awaiting-confirmation' && !action.isHeld) {
    links['confirmationBase'] = {
      href: `${place.url}/confirmationBase/${action.id}?c=${stamp(action)}`,
    }
  }
  const autoConfirm =
    auto === undefined
      ? { active: false }
      : {
          active: true,
          ...(auto.initiator === null ? {} : { initiator: auto.initiator }),
          ...(auto.remark === null ? {} : { remark: auto.remark }),
          activatedAt: auto.activatedMs,
        }
  return { autoConfirm, _links: links }
}
