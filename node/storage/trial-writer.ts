/**
 * A process for `processes.test.ts` to kill: writes blocks and says of each, on standard output, when it is
 * durable. Arguments: folder, first number, how (`put`, `session`, `hints` or `hold`). With `hints` it writes twice
 * as many as wait to be written and some more, a record after each, and then waits.
 */
import { writeSync } from 'node:fs'
import { Key } from 'interface-datastore'
import { KIB, systemClock, utf8 } from '../base/index.ts'
import { createDatastore } from './index.ts'
import { MAX_UNWRITTEN_HINTS } from './limits.ts'
import { numberedBlock, storageIn } from './trial-storage.ts'

const [folder = '', first = '0', how = 'put'] = process.argv.slice(2)
const say = (text: string) => writeSync(1, `${text}\n`)

const storage = storageIn(folder, { segmentBytes: 256 * KIB })
try {
  await storage.start()
} catch (thrown) {
  say(`error ${thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown)}`)
  process.exit(1)
}
say('started')
if (how === 'hints') {
  const store = createDatastore(storage, 'libp2p')
  for (let number = 0; number < 2 * MAX_UNWRITTEN_HINTS + Number(first); number++) {
    await store.put(new Key(`/peers/${number}`), utf8(`${number}`))
    if (number % 100 === 0) await store.put(new Key(`/dht/record/${number}`), utf8(`${number}`))
  }
  say('written')
}
if (how === 'hold' || how === 'hints') await systemClock.sleep(60_000)
const root = numberedBlock(Number(first))
const session = how === 'session' ? await storage.pins.open(root.cid) : undefined
for (let batch = 0; ; batch++) {
  const numbers = Array.from({ length: 8 }, (_, at) => Number(first) + batch * 8 + at)
  await Promise.all(
    numbers.map(async (each) => {
      const one = numberedBlock(each)
      if (session === undefined) await storage.blocks.put(one.cid, one.bytes)
      else await session.add([one])
      say(`stored ${each}`)
    }),
  )
  // What was put without a session would be garbage.
  if (session !== undefined) await storage.collectGarbage()
}
