import type { NodeOptions } from '../create-node.ts'
import { size, value } from './options.ts'

/** Caps on what goes out, for every command that serves. */
export const uploadOptions = {
  maxUpload: value('--max-upload SIZE', 'bytes a second at most, such as 10MB', size),
  maxUploadPerHour: value('--max-upload-per-hour SIZE', 'bytes an hour at most, such as 2GB', size),
  maxUploadPerLink: value(
    '--max-upload-per-link SIZE',
    'bytes a second to one peer at most, such as 1MB',
    size,
  ),
}

export interface UploadValues {
  readonly maxUpload?: number | undefined
  readonly maxUploadPerHour?: number | undefined
  readonly maxUploadPerLink?: number | undefined
}

export function uploadCaps(
  options: UploadValues,
): Pick<
  NodeOptions,
  'maxUploadBytesPerSecond' | 'maxUploadBytesPerHour' | 'maxUploadBytesPerSecondPerLink'
> {
  const { maxUpload, maxUploadPerHour, maxUploadPerLink } = options
  return {
    ...(maxUpload === undefined ? {} : { maxUploadBytesPerSecond: maxUpload }),
    ...(maxUploadPerHour === undefined ? {} : { maxUploadBytesPerHour: maxUploadPerHour }),
    ...(maxUploadPerLink === undefined ? {} : { maxUploadBytesPerSecondPerLink: maxUploadPerLink }),
  }
}
