import type { Startable } from '../base/index.ts'

/** Starts once however often it is asked, stops once, and may start again after that. */
export function createStartStop(part: Startable): Startable {
  let started: Promise<void> | undefined
  let stopping: Promise<void> | undefined

  const start = async () => {
    await stopping
    await part.start()
  }
  const stop = async (starting: Promise<void>) => {
    // Who started hears of the failure; then there is nothing to stop.
    const isOpen = await starting.then(
      () => true,
      () => false,
    )
    if (isOpen) await part.stop()
  }
  return {
    start() {
      started ??= start().catch((thrown: unknown) => {
        started = undefined
        throw thrown
      })
      return started
    },
    async stop() {
      if (started !== undefined) {
        stopping = stop(started)
        started = undefined
      }
      await stopping
    },
  }
}
