import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { codeOf, writeFileDurably } from '@ioex/node/base'

/**
 * The ports of a local network: free ones the first time, the same ones ever after, since the network file
 * and the devices that were enrolled name them.
 */
export async function keepPorts(
  folder: string,
  names: readonly string[],
): Promise<Map<string, number>> {
  const path = join(folder, 'ports.json')
  const kept = new Map(Object.entries(await readPorts(path)))
  const missing = names.filter((name) => !kept.has(name))
  if (missing.length > 0) {
    const free = await freePorts(missing.length)
    for (const [at, name] of missing.entries()) kept.set(name, free[at] ?? 0)
    await writeFileDurably(path, JSON.stringify(Object.fromEntries(kept), null, 2))
  }
  return kept
}

async function readPorts(path: string): Promise<Record<string, number>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, number>
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return {}
    throw thrown
  }
}

/** All are held at the same time, so that the system gives different ones. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports: number[] = []
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (address !== null && typeof address === 'object') ports.push(address.port)
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
