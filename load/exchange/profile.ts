/** Where the time of a process went: the functions of a CPU profile by their own time. */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const profile = z.object({
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() }),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
})

export interface SelfTime {
  readonly name: string
  readonly ms: number
  /** Of the whole profile, idle time included. */
  readonly part: number
}

export async function selfTimes(path: string, most: number): Promise<readonly SelfTime[]> {
  const { nodes, samples, timeDeltas } = profile.parse(JSON.parse(await readFile(path, 'utf8')))
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const micros = new Map<string, number>()
  let total = 0
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?'
    const delta = timeDeltas[index] ?? 0
    total += delta
    micros.set(name, (micros.get(name) ?? 0) + delta)
  }
  return [...micros]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, us]) => ({ name, ms: us / 1_000, part: us / total }))
}

/** Files as they are named below the workspace or the package. */
function nameOf(frame: { functionName: string; url: string; lineNumber: number }): string {
  const name = frame.functionName || '(anonymous)'
  if (frame.url === '') return name
  const [, inPackage] = frame.url.split(/.*\/node_modules\//)
  const file = inPackage ?? frame.url.split('/').slice(-3).join('/')
  return `${name} ${file}:${frame.lineNumber + 1}`
}
