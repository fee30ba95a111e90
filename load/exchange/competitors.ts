import { helia } from './helia.ts'
import { kubo } from './kubo.ts'
import { nginxCurl } from './nginx.ts'
import { ours } from './ours.ts'
import type { Prepare } from './rig.ts'
import type { RowName } from './types.ts'

export const COMPETITORS: Readonly<Record<RowName, Prepare>> = {
  'ours-libp2p': ours('libp2p'),
  'ours-http': ours('http'),
  'helia-bitswap': helia,
  'kubo-bitswap': kubo('64kib', 'cat'),
  'kubo-bitswap-1mib': kubo('1mib', 'cat'),
  'kubo-bitswap-pin': kubo('64kib', 'pin'),
  'kubo-bitswap-1mib-pin': kubo('1mib', 'pin'),
  'nginx-curl': nginxCurl,
}
