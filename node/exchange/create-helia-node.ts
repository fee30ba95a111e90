import type { HeliaNeeds, HeliaNode } from './types.ts'

/** For seeds, peers and the gateway. A device does not call it and so does not load Helia. */
export async function createHeliaNode(needs: HeliaNeeds): Promise<HeliaNode> {
  const { startHelia } = await import('./helia.ts')
  return startHelia(needs)
}
