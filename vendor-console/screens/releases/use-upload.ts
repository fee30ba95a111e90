import { useEffect, useRef, useState } from 'react'
import {
  CallError,
  followState,
  type UploadProgress,
  useGateway,
  useSession,
} from '../../api/index.ts'

interface Upload {
  readonly running: boolean
  readonly progress: UploadProgress | undefined
  readonly error: Error | undefined
  begin(file: File, details: { model: string; version: string; notes: string }): void
  cancel(): void
}

/** One upload: announced, sent, and followed by the gateway's own events until it is published or failed. */
export function useUpload(): Upload {
  const gateway = useGateway()
  const { token } = useSession()
  const [running, setRunning] = useState(false)
  const [progress, setProgress] = useState<UploadProgress>()
  const [error, setError] = useState<Error>()
  const ending = useRef<AbortController>(undefined)
  // Leaving the page ends the upload; the gateway then keeps nothing of it.
  useEffect(() => () => ending.current?.abort(), [])

  const run = async (file: File, details: Parameters<Upload['begin']>[1], signal: AbortSignal) => {
    const { upload } = await gateway.beginUpload(details)
    let last: UploadProgress | undefined
    const following = followState<UploadProgress>(
      `/v1/uploads/${upload}/events`,
      token,
      signal,
      (state) => {
        last = state
        setProgress(state)
      },
      (state) => state.phase === 'published' || state.phase === 'failed',
    )
    await Promise.all([gateway.sendFile(upload, file, signal), following])
    if (last?.phase === 'failed') {
      throw new CallError(last.problem?.detail ?? 'The upload failed.', {
        code: last.problem?.code ?? 'upload-failed',
        fix: last.problem?.fix,
      })
    }
  }

  return {
    running,
    progress,
    error,
    begin: (file, details) => {
      const mine = new AbortController()
      ending.current = mine
      setRunning(true)
      setProgress(undefined)
      setError(undefined)
      run(file, details, mine.signal)
        .catch((thrown: unknown) => {
          mine.abort()
          setProgress(undefined)
          setError(thrown instanceof Error ? thrown : new Error(String(thrown)))
        })
        .finally(() => setRunning(false))
    },
    cancel: () =>
      ending.current?.abort(
        new CallError('The upload was cancelled.', {
          code: 'cancelled',
          fix: 'Nothing of it was kept.',
        }),
      ),
  }
}
