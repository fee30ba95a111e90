import { type AbortOptions, asError, type Clock } from '../base/index.ts'
import { Failure } from './failure.ts'

/** Without a byte for so long a file is given up; while bytes move it may take as long as it takes. */
const SILENCE_MS = 30_000

/** A repository has no more to say when it answers so (TUF 5.3.3); object stores say 403 for what they lack. */
const MISSING = [403, 404]

class AnsweredWith extends Failure {
  readonly status: number
  constructor(url: string, status: number) {
    super('repository-refused', `${url} answered with status ${status}`, {
      fix: 'Check the address of the repository.',
      blame: 'peer',
    })
    this.status = status
  }
}

/** Files of a TUF repository over HTTP. Who serves them does not matter, as each one is verified. */
export function createTufRepository(
  needs: {
    readonly clock: Pick<Clock, 'after'>
    readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  },
  options: { readonly url: string },
) {
  async function* read(
    path: string,
    { signal }: AbortOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const url = `${options.url}/${path}`
    const silence = new AbortController()
    const start = () =>
      needs.clock.after(SILENCE_MS, () =>
        silence.abort(new Error(`no answer for ${SILENCE_MS / 1000} s`)),
      )
    let cancel = start()
    try {
      const either = signal === undefined ? [silence.signal] : [signal, silence.signal]
      const answer = await needs.fetch(url, { signal: AbortSignal.any(either) })
      if (!answer.ok) {
        await answer.body?.cancel()
        throw new AnsweredWith(url, answer.status)
      }
      for await (const part of answer.body ?? []) {
        cancel()
        yield part
        cancel = start()
      }
    } catch (thrown) {
      signal?.throwIfAborted()
      if (thrown instanceof Failure) throw thrown
      const error = asError(silence.signal.aborted ? silence.signal.reason : thrown)
      const cause = error.cause instanceof Error ? error.cause : error
      // Exit code 1 for whatever fails: the protocol of the conformance suite knows no other.
      throw new Failure('repository-unreachable', `${url} did not answer: ${cause.message}`, {
        fix: 'Check the address and the connection, then run the same command again.',
        blame: 'peer',
        cause,
      })
    } finally {
      cancel()
    }
  }

  return {
    /** The bytes as they come. Throws a Failure, also for a target that is not there. */
    target: (path: string, abort: AbortOptions) =>
      read(path.split('/').map(encodeURIComponent).join('/'), abort),
    /** `name` is fit for a URL as TUF writes it. At most `maxBytes` + 1; undefined where the repository has no such file. */
    async metadata(
      name: string,
      maxBytes: number,
      abort: AbortOptions,
    ): Promise<Uint8Array | undefined> {
      const parts: Uint8Array[] = []
      let bytes = 0
      try {
        for await (const part of read(name, abort)) {
          parts.push(part)
          bytes += part.byteLength
          if (bytes > maxBytes) break
        }
      } catch (thrown) {
        if (thrown instanceof AnsweredWith && MISSING.includes(thrown.status)) return undefined
        throw thrown
      }
      return new Uint8Array(Buffer.concat(parts)).subarray(0, maxBytes + 1)
    },
  }
}
