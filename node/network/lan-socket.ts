import { createSocket, type Socket } from 'node:dgram'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import { asError, codeOf, type Log } from '../base/index.ts'
import { LAN_GROUP, LAN_PORT } from './limits.ts'

/** Datagrams to and from whoever listens on the same network. */
export interface LanSocket {
  /** One over each interface, made for the address that it is sent from. Lost when it cannot be sent. */
  send(make: (ip: string) => Uint8Array): void
  close(): void
}

export type OpenLanSocket = (
  parts: {
    /** Whether the interface with this address of ours is used. */
    readonly isUsed: (ip: string) => boolean
    /** `ip` is in the subnet of an interface that is used. */
    readonly heard: (datagram: Uint8Array, ip: string) => void
  },
  log: Log,
) => LanSocket

/**
 * IPv4 multicast, one hop. Looks at the interfaces anew each time it sends, as they come and go. Where there is
 * no multicast (no right, no route, no interface) it says so once, and nobody is heard.
 */
export const openLanSocket: OpenLanSocket = ({ isUsed, heard }, log) => {
  let socket: Promise<Socket> | undefined
  let sending = Promise.resolve()
  let isTold = false
  let isClosed = false
  let subnets = new BlockList()
  const joined = new Set<string>()

  const tell = (error: unknown) => {
    if (!isTold && !isClosed) {
      log.info({ reason: asError(error).message }, 'devices on the local network are not heard')
    }
    isTold = true
  }
  const open = async (): Promise<Socket> => {
    const opened = createSocket({ type: 'udp4', reuseAddr: true })
    opened.unref()
    const listening = Promise.withResolvers<void>()
    opened.once('listening', listening.resolve)
    opened.on('error', (error) => {
      listening.reject(error)
      tell(error)
      opened.close()
      joined.clear()
      socket = undefined
    })
    opened.on('message', (datagram, { address }) => {
      if (subnets.check(address)) heard(datagram, address)
    })
    opened.bind(LAN_PORT)
    await listening.promise
    opened.setMulticastTTL(1)
    return opened
  }
  const lookAround = (opened: Socket): readonly string[] => {
    const used = usedInterfaces(isUsed)
    subnets = new BlockList()
    for (const { address, prefixBits } of used) {
      subnets.addSubnet(address, prefixBits)
      if (!joined.has(address) && join(opened, address)) joined.add(address)
    }
    const addresses = used.map(({ address }) => address)
    for (const old of joined) if (!addresses.includes(old)) joined.delete(old)
    return addresses
  }
  const join = (opened: Socket, address: string): boolean => {
    try {
      opened.addMembership(LAN_GROUP, address)
    } catch (thrown) {
      // An interface that has got a new address is in the group already.
      if (codeOf(thrown) !== 'EADDRINUSE') {
        tell(thrown)
        return false
      }
    }
    return true
  }
  const sendAll = async (make: (ip: string) => Uint8Array) => {
    if (isClosed || usedInterfaces(isUsed).length === 0) return
    socket ??= open()
    const opened = await socket
    for (const ip of lookAround(opened)) {
      if (isClosed) return
      opened.setMulticastInterface(ip)
      const sent = Promise.withResolvers<void>()
      opened.send(make(ip), LAN_PORT, LAN_GROUP, (error) => {
        if (error !== null) tell(error)
        sent.resolve()
      })
      // The interface may be changed once the datagram is out.
      await sent.promise
    }
  }
  return {
    send(make) {
      sending = sending.then(() => sendAll(make)).catch(tell)
    },
    close() {
      isClosed = true
      void socket?.then((opened) => opened.close()).catch(() => undefined)
    },
  }
}

function usedInterfaces(isUsed: (ip: string) => boolean) {
  return Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ family, internal, address }) => family === 'IPv4' && !internal && isUsed(address))
    .map(({ address, cidr }) => ({ address, prefixBits: Number(cidr?.split('/')[1] ?? 32) }))
}
