/** The other end of `processes.ts`: what our own sender and receiver processes say and hear. */
import { createInterface } from 'node:readline'

const lines = createInterface(process.stdin)[Symbol.asyncIterator]()

export function taskOf<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T
}

export function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Undefined when the bench has closed our input, or is gone. */
export async function heard(): Promise<string | undefined> {
  const next = await lines.next()
  return next.done === true ? undefined : next.value
}
