import { IoexError } from '@ioex/node/base'
import type { Problem } from '@ioex/node/api'

/** Every code the gateway answers with: its status and the title, which never changes with the case. */
export const PROBLEMS = {
  'request-invalid': [400, 'The request is not what the API says'],
  'json-invalid': [400, 'The body is not JSON'],
  'token-missing': [401, 'A token is needed'],
  'token-refused': [401, 'The token is not valid'],
  'token-scope-missing': [403, 'The token may not do this'],
  'not-yours': [403, 'This belongs to another vendor'],
  'not-found': [404, 'There is no such thing'],
  'method-not-allowed': [405, 'This address does not take this method'],
  'not-acceptable': [406, 'This cannot be had in the form asked for'],
  'vendor-exists': [409, 'The account is registered'],
  'version-exists': [409, 'The version is published'],
  'upload-not-open': [409, 'The upload has begun or ended'],
  'upload-broken': [400, 'The upload broke off'],
  'upload-empty': [400, 'The image is empty'],
  'custody-wrong': [409, 'The other way of publishing is set for this vendor'],
  'tuf-root-missing': [409, 'The vendor has no root.json yet'],
  'tuf-invalid': [422, 'The TUF metadata is not acceptable'],
  'blocks-missing': [409, 'Blocks of the release are missing'],
  'block-invalid': [422, 'A block is not what its CID says'],
  'release-withdrawn': [409, 'The release was withdrawn'],
  'release-not-published': [409, 'The release is not published'],
  'release-for-another-model': [409, 'The release is for another model'],
  'grants-used-up': [429, 'Too many grants for this release'],
  'release-key-missing': [404, 'There is no key for this device'],
  'code-refused': [404, 'The code is not valid'],
  'proof-invalid': [422, 'The signature does not fit'],
  'device-of-another-vendor': [409, 'The device is enrolled elsewhere'],
  'report-forged': [422, 'The report is not signed by this device'],
  'report-body-changed': [422, 'The report is not the one that was signed'],
  'report-gap': [409, 'Reports of this device are missing'],
  'report-forked': [409, 'The report does not follow the ones that are here'],
  'rollout-invalid': [422, 'The rollout is not the one that the vendor signed'],
  'rollout-exists': [409, 'The release has a rollout'],
  'rollout-state-wrong': [409, 'The rollout is not where this can be done'],
  'seed-unknown': [403, 'Only seeds of the network file may say where they are'],
  'record-outdated': [409, 'A newer record is here'],
  'epoch-not-next': [409, 'The epoch is not the next one'],
  'epoch-total-wrong': [409, 'The total does not follow from the receipts'],
  'body-too-large': [413, 'The body is too large'],
  'media-type-unsupported': [415, 'The body is of the wrong kind'],
  'too-many-requests': [429, 'Too many requests'],
  'too-many': [409, 'There are too many of them'],
  'storage-full': [507, 'The gateway has no room'],
  busy: [503, 'The gateway is busy'],
  'not-ready': [503, 'The gateway is not ready'],
  fault: [500, 'The gateway failed'],
} as const satisfies Record<string, readonly [number, string]>

export type ProblemCode = keyof typeof PROBLEMS

/** Thrown by guards and handlers; becomes the answer. */
export class ProblemError extends IoexError<ProblemCode> {
  readonly errors: Problem['errors']
  readonly headers: Readonly<Record<string, string>>
  readonly chain: Problem['chain']

  constructor(
    code: ProblemCode,
    detail: string,
    details: {
      readonly fix?: string
      readonly errors?: Problem['errors']
      readonly chain?: Problem['chain']
      readonly headers?: Readonly<Record<string, string>>
      readonly cause?: unknown
    } = {},
  ) {
    super(code, detail, {
      blame: PROBLEMS[code][0] >= 500 ? 'local' : 'caller',
      cause: details.cause,
      ...(details.fix === undefined ? {} : { fix: details.fix }),
    })
    this.name = 'ProblemError'
    this.errors = details.errors
    this.chain = details.chain
    this.headers = details.headers ?? {}
  }
}

export function problemOf(error: ProblemError, instance: string): Problem {
  const [status, title] = PROBLEMS[error.code]
  return {
    type: `/docs#problem-${error.code}`,
    title,
    status,
    code: error.code,
    detail: error.message,
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    ...(error.errors === undefined ? {} : { errors: error.errors }),
    ...(error.chain === undefined ? {} : { chain: error.chain }),
    instance,
  }
}
