import { type ErrorDetails, IoexError } from '../base/index.ts'
import type { NetworkErrorCode } from './types.ts'

export function networkError(
  code: NetworkErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<NetworkErrorCode> {
  return new IoexError(code, message, details)
}
