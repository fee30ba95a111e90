import { defineCommand } from '../command.ts'
import { nodeOptions, runNode } from '../node-commands.ts'

export const command = defineCommand({
  about:
    'Run a bootstrap: it keeps the network together, relays and routes announcements, and stores nothing of others.',
  examples: [
    'ioex bootstrap --network network.json --listen /ip4/0.0.0.0/tcp/4001',
    'ioex bootstrap --listen /ip4/0.0.0.0/tcp/4001 --announce /ip4/203.0.113.7/tcp/4001 --json',
  ],
  options: nodeOptions,
  follows: true,
  run: (call) => runNode('bootstrap', call),
})
