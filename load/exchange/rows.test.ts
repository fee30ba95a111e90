import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GIB, MIB } from '@ioex/node/base'
import { emptyRow, rowOf } from './rows.ts'
import { tableOf } from './table.ts'

const told = { version: '1', durability: 'fdatasync', note: 'a note' }
const run = (seconds: number, sender: number, receiver: number) => ({
  seconds,
  sender: { cpuSeconds: sender, peakRssBytes: 100 * MIB },
  receiver: { cpuSeconds: receiver, peakRssBytes: 80 * MIB },
})

test('a row has the median speed, the CPU of both sides and the larger memory', () => {
  const row = rowOf('ours-libp2p', GIB, told, [run(8, 3, 5), run(4, 1, 2), run(2, 2, 4)], [])
  assert.equal(row.mibPerSecond, 256)
  assert.equal(row.cpuSecondsPerGiB, 6)
  assert.equal(row.peakRssMiB, 100)
  assert.deepEqual(row.runsMibPerSecond, [128, 256, 512])
})

test('of an even number of runs the median is between the two in the middle', () => {
  const row = rowOf('ours-libp2p', GIB, told, [run(8, 0, 0), run(4, 0, 0)], [])
  assert.equal(row.mibPerSecond, 192)
})

test('a run that failed counts as no speed at all, and half of them failing is no figure', () => {
  const row = rowOf('ours-libp2p', GIB, told, [run(8, 1, 1), run(4, 1, 1)], ['it hung'])
  assert.equal(row.mibPerSecond, 128)
  assert.deepEqual(row.failedRuns, ['it hung'])
  const failed = rowOf('ours-libp2p', GIB, told, [run(8, 1, 1)], ['it hung'])
  assert.equal(failed.mibPerSecond, null)
  assert.match(failed.error ?? '', /it hung/)
})

test('the table shows the ratio to Kubo, and names what is missing and what failed', () => {
  const table = tableOf([
    rowOf('ours-libp2p', GIB, told, [run(2, 1, 1)], []),
    rowOf('kubo-bitswap', GIB, told, [run(5, 1, 1)], []),
    emptyRow('kubo-bitswap-1mib', 'not built', true),
    emptyRow('nginx-curl', 'it stumbled', false),
  ])
  const line = (name: string) => table.split('\n').find((each) => each.startsWith(`${name} `)) ?? ''
  assert.match(line('ours-libp2p'), / 512\.0 .* 2\.50 +- /)
  assert.match(line('kubo-bitswap-1mib'), /MISSING: not built/)
  assert.match(line('nginx-curl'), /FAILED: it stumbled/)
})
