/**
 * BitTorrent as its users have it: aria2 at the seeds and at every host, opentracker in the hub. The clients run
 * and wait; the clock starts when they are handed the torrent, and stops for each by its own hook.
 */
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram } from './commands.ts'
import { fluidLimitSeconds, median } from './fluid.ts'
import { type Host, HUB_ADDRESS, type Lab } from './lab.ts'
import type { Hosts, Times } from './ours.ts'
import type { Cell } from './plan.ts'
import { type RivalOptions, startProgram, type Started, until, writeImage } from './rival.ts'
import { makeTorrent, type Torrent } from './torrent.ts'

const TRACKER_PORT = 6969
const TRACKER = `http://${HUB_ADDRESS}:${TRACKER_PORT}`
const RPC_PORT = 6800
const PATIENCE_FACTOR = 20
const PATIENCE_S = 120

/**
 * As favourable as it can be set: no peer limit, no pause before more peers are asked for, the tracker asked
 * every two seconds (with its own interval late hosts find each other after minutes), no disk allocation, no
 * encryption, uploading without end, peer exchange on. No DHT and no LPD: the tracker knows everybody.
 */
export const ARIA2_SETTINGS = [
  ...['--bt-max-peers=0', '--bt-request-peer-speed-limit=1000M', '--bt-tracker-interval=2'],
  ...['--seed-ratio=0.0', '--file-allocation=none', '--enable-peer-exchange=true'],
  ...['--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false'],
  ...['--bt-min-crypto-level=plain', '--bt-require-crypto=false', '--disk-cache=32M'],
]

export async function measureAria2(
  lab: Lab,
  hosts: Hosts,
  cell: Cell,
  options: RivalOptions,
): Promise<(Times & { readonly seedEgressImages: number }) | undefined> {
  const aria2 = await findProgram('aria2c')
  const tracker = await findProgram('opentracker')
  if (aria2 === undefined || tracker === undefined) {
    options.say('aria2: not measured, as it or its tracker is missing (Debian: aria2, opentracker)')
    return undefined
  }
  const runs: (Times & { readonly seedEgressImages: number })[] = []
  for (let run = 1; run <= cell.runs; run++) {
    const folder = join(options.folder, `aria2-${run}`)
    await mkdir(folder, { recursive: true })
    const times = await measureOnce({ lab, hosts, cell, folder, aria2, tracker })
    runs.push(times)
    options.say(
      `aria2: median ${times.medianSeconds.toFixed(2)} s, last ${times.lastSeconds.toFixed(2)} s`,
    )
  }
  return {
    medianSeconds: median(runs.map((times) => times.medianSeconds)),
    lastSeconds: median(runs.map((times) => times.lastSeconds)),
    seedEgressImages: median(runs.map((times) => times.seedEgressImages)),
  }
}

interface Swarm {
  readonly lab: Lab
  readonly hosts: Hosts
  readonly cell: Cell
  readonly folder: string
  readonly aria2: string
  readonly tracker: string
}

async function measureOnce(swarm: Swarm) {
  const { lab, hosts, cell, folder, aria2 } = swarm
  const started: Started[] = []
  try {
    const image = join(folder, 'image')
    await writeImage(image, cell.imageBytes)
    const torrent = await makeTorrent(image, `${TRACKER}/announce`)
    const tracker = startTracker(swarm, await writeTrackerHome(folder, torrent))
    started.push(tracker)
    await until('opentracker', tracker, () => fetch(TRACKER).then(isAnswer, noAnswer))
    const torrentFile = join(folder, 'image.torrent')
    await writeFile(torrentFile, torrent.bytes)
    for (const seed of hosts.seeds) {
      const seeding = ['--bt-seed-unverified=true', '--check-integrity=false', torrentFile]
      started.push(startProgram(seed, [aria2, ...ARIA2_SETTINGS, `--dir=${folder}`, ...seeding]))
    }
    await until('the seeders at the tracker', started.at(-1) ?? tracker, async () => {
      const answer = await fetch(`${TRACKER}/scrape?info_hash=${inUrl(torrent.infoHash)}`)
      return (await answer.text()).includes(`8:completei${hosts.seeds.length}e`)
    })
    const hook = await writeHook(folder)
    const clients = hosts.devices.map((device): Client => {
      const home = join(folder, device.name)
      const waiting = [
        ...['--enable-rpc=true', '--rpc-listen-all=true', `--rpc-listen-port=${RPC_PORT}`],
        ...[`--dir=${home}`, `--on-bt-download-complete=${hook}`],
      ]
      const program = startProgram(device, [aria2, ...ARIA2_SETTINGS, ...waiting])
      started.push(program)
      return { device, program, doneFile: join(home, 'done') }
    })
    await Promise.all(
      clients.map(({ device, program }) =>
        until(`aria2 at ${device.name}`, program, () =>
          call(device, 'aria2.getVersion', []).then(isAnswer, noAnswer),
        ),
      ),
    )
    const before = await lab.traffic()
    const beganMs = Date.now()
    const encoded = Buffer.from(torrent.bytes).toString('base64')
    await Promise.all(hosts.devices.map((device) => call(device, 'aria2.addTorrent', [encoded])))
    const patienceMs = (fluidLimitSeconds(cell) * PATIENCE_FACTOR + PATIENCE_S) * 1000
    const seconds = await Promise.all(
      clients.map(async ({ device, program, doneFile }) => {
        await until(`aria2 at ${device.name}`, program, () => isFilled(doneFile), patienceMs)
        return (Number(await readFile(doneFile, 'utf8')) - beganMs) / 1000
      }),
    )
    const after = await lab.traffic()
    const sent = hosts.seeds.map(
      ({ name }) => (after.get(name)?.sentBytes ?? 0) - (before.get(name)?.sentBytes ?? 0),
    )
    return {
      medianSeconds: median(seconds),
      lastSeconds: Math.max(...seconds),
      seedEgressImages: sent.reduce((sum, bytes) => sum + bytes, 0) / cell.imageBytes,
    }
  } finally {
    await Promise.all(started.map((each) => each.stop()))
  }
}

interface Client {
  readonly device: Host
  readonly program: Started
  /** Written by the hook. */
  readonly doneFile: string
}

const WHITELIST = 'whitelist.txt'

/** Debian's opentracker tracks what a list names. */
async function writeTrackerHome(folder: string, torrent: Torrent): Promise<string> {
  const home = join(folder, 'tracker')
  await mkdir(home)
  await chmod(home, 0o755)
  await writeFile(join(home, WHITELIST), `${torrent.infoHash}\n`)
  return home
}

/** It gives root up, and shuts itself into its folder. */
function startTracker({ tracker }: Swarm, home: string): Started {
  const port = String(TRACKER_PORT)
  const listening = ['-i', HUB_ADDRESS, '-p', port, '-P', port]
  return startProgram(undefined, [
    ...[tracker, ...listening, '-d', home, '-u', 'nobody', '-w', WHITELIST],
  ])
}

const isAnswer = () => true
const noAnswer = () => false

/** Bytes as a query has them. */
function inUrl(hex: string): string {
  return hex.replace(/../g, '%$&')
}

/** aria2 hands it a number, a count and the path of the file; the time goes beside that file. */
async function writeHook(folder: string): Promise<string> {
  const path = join(folder, 'done.sh')
  await writeFile(path, '#!/bin/sh\ndate +%s%3N > "$(dirname "$3")/done"\n')
  await chmod(path, 0o755)
  return path
}

async function isFilled(path: string): Promise<boolean> {
  return stat(path).then(
    ({ size }) => size > 0,
    () => false,
  )
}

async function call(device: Host, method: string, params: readonly unknown[]): Promise<void> {
  const answer = await fetch(`http://${device.host}:${RPC_PORT}/jsonrpc`, {
    method: 'POST',
    body: JSON.stringify({ jsonrpc: '2.0', id: device.name, method, params }),
  })
  if (!answer.ok) throw new Error(`aria2 at ${device.name}: ${await answer.text()}`)
}
