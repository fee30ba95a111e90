import { type Blame, IoexError } from '../base/index.ts'
import type { NetworkErrorCode } from '../network/index.ts'

/** The error the real network throws in the same place. */
export function networkError(
  code: NetworkErrorCode,
  blame: Blame,
  message: string,
  cause?: unknown,
): IoexError<NetworkErrorCode> {
  return new IoexError(code, message, { blame, cause })
}
