/**
 * A house with devices on one network, and a seed at the other end of a thin line; run in a namespace of its own
 * in which there is a bridge called `lan`. Says what happened, as JSON.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Answer, Task } from './lan-node.ts'

type Fetched = Extract<Answer, { done: 'fetch' }>

interface Resident extends Omit<Extract<Answer, { done: 'tell' }>, 'done'> {
  readonly peerId: string
  readonly fetched?: Fetched
}

/** The second one fetches when the first is done; `off` has its LAN off, `deaf` no socket, and `other` another release. */
export type HouseStory = Record<
  'seed' | 'first' | 'second' | 'off' | 'deaf' | 'other',
  Resident
> & {
  /** By somebody who only listens: their lengths, and how many name what is fetched or by whom. */
  readonly overheard: {
    readonly count: number
    readonly lengths: readonly number[]
    readonly telling: number
  }
}

const UNSHARE = 'unshare'
const GROUP = '239.255.105.101'
const PORT = 41_839
const HUB = '10.77.0.1'
const run = promisify(execFile)
const folder = await mkdtemp(join(tmpdir(), 'ioex-lan-'))
const children: ChildProcess[] = []

interface MemberOptions {
  readonly role?: 'seed' | 'device'
  readonly upKbit?: number
  readonly lan?: 'on' | 'off' | 'deaf'
}

type Member = Awaited<ReturnType<typeof member>>

async function member(
  name: string,
  host: number,
  { role = 'device', upKbit, lan = 'on' }: MemberOptions = {},
) {
  const ip = `10.77.0.${host}`
  const program = join(import.meta.dirname, 'lan-node.ts')
  const child = spawn(UNSHARE, ['--net', process.execPath, program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  children.push(child)
  const ask = async <D extends Task['do']>(task: Task & { readonly do: D }) => {
    const answer = new Promise<Answer>((resolve, reject) => {
      child.once('message', resolve)
      child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)))
    })
    child.send(task)
    return (await answer) as Extract<Answer, { done: D }>
  }
  // Once it answers it is where it belongs.
  await ask({ do: 'tell' })
  const pid = String(child.pid)
  const inside = (...words: string[]) => run('nsenter', ['--net', '--target', pid, ...words])
  const link = `v${host}`
  await run('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid])
  await run('ip', ['link', 'set', link, 'master', 'lan', 'up'])
  await inside('ip', 'link', 'set', 'lo', 'up')
  await inside('ip', 'address', 'add', `${ip}/24`, 'dev', 'eth0')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  if (upKbit !== undefined) {
    const rate = ['rate', `${upKbit}kbit`, 'burst', '16kb', 'latency', '200ms']
    await inside('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', ...rate)
  }
  const { place } = await ask({ do: 'start', role, home: join(folder, name), ip, lan })
  return { ask, place }
}

async function listen() {
  const heard: Buffer[] = []
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.on('message', (datagram) => heard.push(datagram))
  await new Promise<void>((resolve) => socket.bind(PORT, resolve))
  socket.addMembership(GROUP, HUB)
  return { heard, close: () => socket.close() }
}

try {
  const stranger = await listen()
  const seed = await member('seed', 2, { role: 'seed', upKbit: 16_000 })
  const [first, second] = [await member('first', 3), await member('second', 4)]
  const [off, deaf] = [
    await member('off', 5, { lan: 'off' }),
    await member('deaf', 6, { lan: 'deaf' }),
  ]
  const other = await member('other', 7)
  const { roots } = await seed.ask({ do: 'keep', releases: ['a', 'b'] })
  const fetch = (who: Member, release: string) =>
    who.ask({ do: 'fetch', release, from: seed.place })
  const [ofFirst, ofOther] = await Promise.all([fetch(first, 'a'), fetch(other, 'b')])
  // The first one is done and has left: the seed knows of nobody to tell the second one of.
  const ofSecond = await fetch(second, 'a')
  const ofOff = await fetch(off, 'a')
  const ofDeaf = await fetch(deaf, 'a')
  const tell = async (who: Member, fetched?: Fetched): Promise<Resident> => ({
    ...(await who.ask({ do: 'tell' })),
    ...(fetched === undefined ? {} : { fetched }),
    peerId: who.place.peerId,
  })
  const places = [seed, first, second, off, deaf, other].map(({ place }) => place)
  const names = [
    ...[...roots, ...places.map(({ publicKey }) => publicKey)].map((hex) =>
      Buffer.from(hex, 'hex'),
    ),
    ...places.map(({ peerId }) => Buffer.from(peerId)),
  ].map((name) => name.subarray(0, 8))
  const story: HouseStory = {
    seed: await tell(seed),
    first: await tell(first, ofFirst),
    second: await tell(second, ofSecond),
    off: await tell(off, ofOff),
    deaf: await tell(deaf, ofDeaf),
    other: await tell(other, ofOther),
    overheard: {
      count: stranger.heard.length,
      lengths: [...new Set(stranger.heard.map(({ byteLength }) => byteLength))],
      telling: stranger.heard.filter((datagram) => names.some((name) => datagram.includes(name)))
        .length,
    },
  }
  stranger.close()
  process.stdout.write(JSON.stringify(story))
} finally {
  for (const child of children) child.disconnect()
  await rm(folder, { recursive: true, force: true })
}
