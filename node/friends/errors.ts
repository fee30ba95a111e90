import { type ErrorDetails, IoexError } from '../base/index.ts'
import type { FriendErrorCode } from './types.ts'

export function friendError(
  code: FriendErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<FriendErrorCode> {
  return new IoexError(code, message, details)
}
