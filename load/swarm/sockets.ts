import type { Host, Lab } from './lab.ts'

/** Headers of IPv4 and TCP with the time stamps that every segment carries; those with more options are few. */
const HEADER_BYTES = 52

export interface SocketMeter {
  /** Payload of TCP that has arrived at the host since the start. */
  receivedBytes(): Promise<number>
}

/**
 * What arrives for the processes of a host: the bytes that its kernel took in by IP, less the headers of TCP. It
 * misses nothing, however short a connection is; a segment that arrives twice counts twice, so sockets hand
 * their processes at most this.
 */
export async function countSockets(lab: Lab, host: Host): Promise<SocketMeter> {
  const look = async () => {
    const octets = field(await lab.exec(host.name, 'cat', '/proc/net/netstat'), 'IpExt', 'InOctets')
    const segments = field(await lab.exec(host.name, 'cat', '/proc/net/snmp'), 'Tcp', 'InSegs')
    return octets - HEADER_BYTES * segments
  }
  const first = await look()
  return { receivedBytes: async () => (await look()) - first }
}

/** The kernel writes two lines for each table: names, then numbers. */
function field(text: string, table: string, name: string): number {
  const [names = [], numbers = []] = text
    .split('\n')
    .filter((line) => line.startsWith(`${table}:`))
    .map((line) => line.split(' '))
  const value = Number(numbers[names.indexOf(name)])
  if (Number.isNaN(value)) throw new Error(`the kernel does not tell ${table} ${name}`)
  return value
}
