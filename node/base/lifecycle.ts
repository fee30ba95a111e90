/**
 * What can be started can be stopped, and stopped twice. `start` must not assume that any room other than
 * those it was handed has started. After `stop` resolves no timer, listener, file or socket of it is left.
 */
export interface Startable {
  start(): Promise<void>
  stop(): Promise<void>
}

export interface AbortOptions {
  readonly signal?: AbortSignal | undefined
}

/** Stops everything in the given order even if one of them fails; then throws what failed. */
export async function stopAll(parts: readonly Pick<Startable, 'stop'>[]): Promise<void> {
  const failures: unknown[] = []
  for (const part of parts) {
    try {
      await part.stop()
    } catch (thrown) {
      failures.push(thrown)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'some parts did not stop cleanly')
}
