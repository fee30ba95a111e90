import { defineCommand } from '../command.ts'
import { runNode, storingOptions } from '../node-commands.ts'

export const command = defineCommand({
  about: 'Run a peer: it talks to friends only, and keeps their backups.',
  examples: [
    'ioex peer --network network.json',
    'ioex peer --space 100GB --listen /ip4/0.0.0.0/tcp/4002',
  ],
  options: storingOptions,
  follows: true,
  run: (call) => runNode('peer', call),
})
