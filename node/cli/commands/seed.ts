import { defineCommand } from '../command.ts'
import { runNode, storingOptions } from '../node-commands.ts'

export const command = defineCommand({
  about:
    'Run a seed: it stores releases and backups of friends, serves them, and is paid by receipts.',
  examples: [
    'ioex seed --network network.json --space 200GB --gateway https://fw.example --http-listen 0.0.0.0:4180',
    'ioex seed --space 200GB --max-upload 5MB',
  ],
  options: storingOptions,
  follows: true,
  run: (call) => runNode('seed', call),
})
