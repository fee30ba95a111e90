import type { Source, Wire } from './types.ts'

/** Which wire a source is asked over; one for each session, as it learns from what breaks. */
export interface WireChoice {
  /** In the order of trying; never empty. */
  order(source: Source, hasGrant: boolean): readonly Wire[]
  /** A stream over HTTP broke. */
  broke(source: Source): void
  /** Something wrong came over HTTP, where anybody on the way can change it: false when there is no other wire. */
  distrust(source: Source): boolean
}

/** A stream breaks when a server restarts; one that breaks again has something in its way. */
const MAX_BREAKS = 2

export function createWireChoice(wires: readonly Wire[] = ['http', 'libp2p']): WireChoice {
  const breaks = new Map<string, number>()
  const mayUse = (wire: Wire) => wires.includes(wire)
  const note = ({ peerId }: Source, count: number) => {
    const name = peerId.toString()
    breaks.set(name, (breaks.get(name) ?? 0) + count)
  }
  return {
    order(source, hasGrant) {
      // Friends prove themselves by their connection, so they stay on libp2p.
      const canHttp = mayUse('http') && source.http !== undefined && hasGrant
      if (!canHttp) return ['libp2p']
      if (!mayUse('libp2p')) return ['http']
      const isBroken = (breaks.get(source.peerId.toString()) ?? 0) >= MAX_BREAKS
      return isBroken ? ['libp2p'] : ['http', 'libp2p']
    },
    broke: (source) => note(source, 1),
    distrust(source) {
      note(source, MAX_BREAKS)
      return mayUse('libp2p')
    },
  }
}
