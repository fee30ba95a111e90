import type { RolloutPlan } from '@ioex/node/api'
import type { ReleaseRow, UploadRow } from '../store/tables.ts'
import type { Body } from './body-source.ts'
import type { UploadTrackers } from './upload-progress.ts'

export interface NewUpload {
  readonly vendor: string
  readonly model: string
  readonly version: string
  readonly notes: string
  readonly rollout?: RolloutPlan | undefined
}

export interface Publishing {
  readonly trackers: UploadTrackers
  /** Announces an upload; its body follows. Throws `version-exists`, `too-many`, `custody-wrong`. */
  open(what: NewUpload): Promise<UploadRow>
  /** Takes the body; resolves when the release is published, or is a draft as too few seeds could be reached. */
  receive(upload: UploadRow, body: Body): Promise<ReleaseRow>
  /** Goes on with a release that is a draft; resolves as `receive`. */
  advance(release: ReleaseRow): Promise<ReleaseRow>
  /** Drafts are tried again now: a seed has turned up. */
  wake(): void
  start(): Promise<void>
  stop(): Promise<void>
}
