/** Unmodified clients of hawkBit's DDI beside an agent: they install, and the device signs how it went. */
import assert from 'node:assert/strict'
import { createCipheriv, createHash } from 'node:crypto'
import { test } from 'node:test'
import { decode, encode } from 'cborg'
import type { RolloutOrder } from '../api/index.ts'
import { type AbortOptions, KIB, silentLog, systemClock } from '../base/index.ts'
import { createDdiFace, type DdiFace } from '../ddi/index.ts'
import {
  createTufSigner,
  planRollout,
  type RolloutPolicy,
  signRolloutOrder,
} from '../firmware/index.ts'
import {
  createDeviceFleet,
  type DeviceFleet,
  type DeviceSettings,
  MODEL,
  type RigDevice,
} from '../testing/device-rig.ts'
import { createOfferGuard } from './offer-guard.ts'
import { createStockClients, type StockClientOptions, type StockClients } from './stock-clients.ts'

const TOKEN = 'token-of-the-one-client'
const role = createTufSigner(new Uint8Array(32).fill(5))

/** With the head of a SWUpdate image. */
function imageOf(seed: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return Buffer.concat([Buffer.from('070702'), cipher.update(Buffer.alloc(300 * KIB))])
}

interface Beside {
  readonly device: RigDevice
  readonly face: DdiFace
  /** Starts a round. */
  begin(abort?: AbortOptions): {
    /** What it fetched is offered. */
    readonly offered: Promise<void>
    readonly round: ReturnType<RigDevice['agent']['update']>
  }
  /** As a client asks, with the word that it got. */
  ask(
    path: string,
    init?: RequestInit & { readonly as?: readonly [name: string, token: string] },
  ): Promise<Response>
  get<T = Root>(path: string): Promise<T>
  say(path: string, execution: string, finished?: string): Promise<number>
  /** A minute later what was offered is asked about again. */
  passMinute(): void
}

interface Root {
  readonly _links: Readonly<Record<string, { readonly href: string }>>
}
interface Deployment {
  readonly id: string
  readonly deployment: {
    readonly update: string
    readonly chunks: readonly [
      {
        readonly version: string
        readonly artifacts: readonly [
          {
            readonly filename: string
            readonly size: number
            readonly hashes: Readonly<Record<string, string>>
            readonly _links: Readonly<Record<string, { readonly href: string }>>
          },
        ]
      },
    ]
  }
}

async function startBeside(
  fleet: DeviceFleet,
  options: Partial<StockClientOptions> = {},
): Promise<Beside> {
  let stock: Promise<StockClients> | undefined
  let offered = Promise.withResolvers<void>()
  let lateMs = 0
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + lateMs }
  const wrap: DeviceSettings['wrap'] = (needs) => {
    const standing = createOfferGuard(
      { ...needs, clock, status: () => device.agent.status() },
      { model: MODEL, groups: [] },
    )
    const made = createStockClients(
      { slots: needs.slots, standing, clock, log: silentLog },
      {
        folder: needs.slots.folder,
        model: MODEL,
        clients: [{ name: undefined, token: TOKEN }],
        confirm: false,
        ...options,
      },
    )
    stock = made
    return {
      ...needs,
      installer: {
        install: async (...given) => (await made).installer.install(...given),
        isHealthy: async (...given) => (await made).installer.isHealthy(...given),
        restore: async (...given) => (await made).installer.restore(...given),
      },
    }
  }
  const device: RigDevice = await fleet.device({
    wrap,
    onEvent: ({ name }) => {
      if (name === 'trying') offered.resolve()
    },
  })
  const parts = await stock
  assert.ok(parts)
  const face = createDdiFace({ fleet: parts.fleet, log: silentLog }, { basePath: '', pollS: 60 })
  const beside: Beside = {
    device,
    face,
    begin(abort = {}) {
      offered = Promise.withResolvers()
      return { offered: offered.promise, round: device.agent.update(abort) }
    },
    ask(path, { as: [name, token] = ['pump-0042', TOKEN], ...init } = {}) {
      const url = path.startsWith('http')
        ? path
        : `http://beside/default/controller/v1/${name}${path}`
      const headers = { authorization: `TargetToken ${token}`, ...(init.headers as object) }
      const context = { source: 'test', origin: 'http://beside' }
      return face.answer(new Request(url, { ...init, headers }), context)
    },
    async get<T>(path: string) {
      const answer = await beside.ask(path)
      assert.equal(answer.status, 200)
      return (await answer.json()) as T
    },
    async say(path, execution, finished = 'success') {
      const body = JSON.stringify({ status: { execution, result: { finished } } })
      return (await beside.ask(`${path}/feedback`, { method: 'POST', body })).status
    },
    passMinute() {
      lateMs += 60_000
    },
  }
  return beside
}

const deploymentOf = async (beside: Beside) => {
  const link = (await beside.get(''))._links['deploymentBase']
  assert.ok(link, 'something is offered')
  return beside.get<Deployment>(link.href)
}

const eventsOf = (fleet: DeviceFleet) => fleet.gateway.reports.map(({ event }) => event)

async function withFleet(run: (fleet: DeviceFleet) => Promise<void>): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    await run(fleet)
  } finally {
    await fleet.stop()
  }
}

test('a release that came from peers is offered whole, and confirmed by what the client says', () =>
  withFleet(async (fleet) => {
    const beside = await startBeside(fleet)
    assert.deepEqual(Object.keys((await beside.get(''))._links), ['configData'])
    const image = imageOf(1)
    await fleet.publish(image, '1.0.0')
    const { offered, round } = beside.begin()
    await offered
    const { id, deployment } = await deploymentOf(beside)
    const [{ artifacts }] = deployment.chunks
    const [{ filename, size, hashes, _links }] = artifacts
    assert.deepEqual([filename, size], [`${MODEL}-1.0.0.swu`, image.byteLength])
    assert.equal(hashes['sha1'], createHash('sha1').update(image).digest('hex'))
    const link = _links['download-http']?.href ?? ''
    const whole = await beside.ask(link)
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(image))
    const rest = await beside.ask(link, { headers: { range: 'bytes=200000-' } })
    assert.equal(rest.status, 206)
    assert.ok(Buffer.from(await rest.arrayBuffer()).equals(image.subarray(200_000)))
    assert.equal(await beside.say(`/deploymentBase/${id}`, 'proceeding', 'none'), 200)
    assert.equal(await beside.say(`/deploymentBase/${id}`, 'closed'), 200)
    const { outcome, installed } = await round
    assert.deepEqual([outcome, installed?.version], ['updated', '1.0.0'])
    assert.equal(await beside.say(`/deploymentBase/${id}`, 'closed'), 410)
    assert.ok((await beside.get(''))._links['installedBase'])
    assert.deepEqual(eventsOf(fleet), ['written', 'confirmed'])

    // The next one fails, and is not offered again.
    const { root } = await fleet.publish(imageOf(2), '1.1.0')
    const next = beside.begin()
    await next.offered
    const second = await deploymentOf(beside)
    assert.notEqual(second.id, id)
    assert.equal(await beside.say(`/deploymentBase/${second.id}`, 'closed', 'failure'), 200)
    const failed = await next.round
    assert.deepEqual([failed.outcome, failed.installed?.version], ['fell-back', '1.0.0'])
    assert.deepEqual(eventsOf(fleet).slice(2), ['written', 'fell-back'])
    assert.equal(beside.device.agent.status().rejected?.root, root)
    assert.equal((await beside.device.agent.update()).outcome, 'up-to-date')
    assert.equal((await beside.get(''))._links['deploymentBase'], undefined)
  }))

test('what was offered is still offered after a restart, under the same action', () =>
  withFleet(async (fleet) => {
    const before = await startBeside(fleet)
    await fleet.publish(imageOf(1), '1.0.0')
    const stopping = new AbortController()
    const { offered, round } = before.begin(stopping)
    await offered
    const first = await deploymentOf(before)
    assert.equal(await before.say(`/deploymentBase/${first.id}`, 'proceeding', 'none'), 200)
    stopping.abort()
    await assert.rejects(round, { name: 'AbortError' })
    await before.device.stop()

    const after = await startBeside(fleet)
    assert.equal((await deploymentOf(after)).id, first.id, 'before the agent has begun')
    assert.equal(await after.say(`/deploymentBase/${first.id}`, 'closed'), 200)
    assert.equal((await after.begin().round).outcome, 'updated')
  }))

test('several clients count as one device, each with its own token', () =>
  withFleet(async (fleet) => {
    const [left, right] = [
      { name: 'left', token: 'token-of-the-left-one' },
      { name: 'right', token: 'token-of-the-right-one' },
    ]
    const beside = await startBeside(fleet, { clients: [left, right] })
    await fleet.publish(imageOf(1), '1.0.0')
    const { offered, round } = beside.begin()
    await offered
    const ask = async (name: string, token: string) => {
      const answer = await beside.ask('', { as: [name, token] })
      return { status: answer.status, body: (await answer.json()) as Root }
    }
    assert.equal((await ask('left', right.token)).status, 401)
    assert.equal((await ask('middle', left.token)).status, 401)
    assert.equal((await ask('left', TOKEN)).status, 401)
    for (const { name, token } of [left, right]) {
      const { status, body } = await ask(name, token)
      assert.equal(status, 200)
      const link = body._links['deploymentBase']?.href.split('?')[0] ?? ''
      const told = await beside.ask(`${link}/feedback`, {
        as: [name, token],
        method: 'POST',
        body: JSON.stringify({ status: { execution: 'closed', result: { finished: 'success' } } }),
      })
      assert.equal(told.status, 200)
      assert.equal(eventsOf(fleet).includes('confirmed'), false)
    }
    assert.equal((await round).outcome, 'updated')
  }))

/** One phase, which an order opens. */
const onePhase = (root: Parameters<typeof planRollout>[1]): RolloutPolicy =>
  planRollout(
    {
      orderKey: role.publicKey,
      rollbackTo: null,
      groups: [],
      phases: [{ buckets: 10_000, notBeforeS: 0, minSample: 1, minSuccess: 10_000, maxError: 0 }],
    },
    root,
    [],
  ).policy

test('a pause and an end of the rollout reach what was offered already', () =>
  withFleet(async (fleet) => {
    const beside = await startBeside(fleet)
    const { root } = await fleet.publish(imageOf(1), '1.0.0', { rollout: onePhase })
    const orderAs = (action: RolloutOrder['action'], version: number) => {
      const nowS = Math.floor(systemClock.nowMs() / 1000)
      const common = { v: 1 as const, phase: 0, to: null, witnesses: [], evidence: [] }
      const times = { issuedAtS: nowS, expiresS: nowS + 3_600 }
      fleet.gateway.orders.set(
        root,
        signRolloutOrder({ ...common, ...times, root, action, version }, role),
      )
    }
    orderAs('go', 1)
    const { offered, round } = beside.begin()
    await offered
    const first = await deploymentOf(beside)
    assert.equal(first.deployment.update, 'forced')
    orderAs('hold', 2)
    assert.equal((await deploymentOf(beside)).id, first.id, 'asked once a minute')
    const isHeld = async () => {
      beside.passMinute()
      return (await beside.get(''))._links['deploymentBase'] === undefined
    }
    assert.equal(await isHeld(), true)
    assert.equal((await beside.ask(`/deploymentBase/${first.id}`)).status, 404)
    orderAs('go', 1)
    assert.equal(await isHeld(), true, 'an older word is no word')
    orderAs('resume', 3)
    assert.equal(await isHeld(), false)
    assert.equal(await beside.say(`/deploymentBase/${first.id}`, 'proceeding', 'none'), 200)
    orderAs('hold', 4)
    assert.equal(await isHeld(), false, 'a client that is at it is not stopped')
    orderAs('abort', 5)
    beside.passMinute()
    const { _links } = await beside.get('')
    assert.equal(_links['deploymentBase'], undefined)
    const stop = _links['cancelAction']?.href ?? ''
    assert.deepEqual(await beside.get(stop), { id: first.id, cancelAction: { stopId: first.id } })
    assert.equal(await beside.say(stop, 'closed'), 200)
    assert.equal((await round).outcome, 'fell-back')
    assert.deepEqual(eventsOf(fleet), ['written', 'failed'])
  }))

test('a person at the device is asked first, and a client may speak CBOR', () =>
  withFleet(async (fleet) => {
    const beside = await startBeside(fleet, { confirm: true })
    await fleet.publish(imageOf(1), '1.0.0')
    const { offered, round } = beside.begin()
    await offered
    const answer = await beside.ask('', { headers: { accept: 'application/cbor' } })
    assert.equal(answer.headers.get('content-type'), 'application/cbor')
    const { _links } = decode(new Uint8Array(await answer.arrayBuffer())) as Root
    assert.equal(_links['deploymentBase'], undefined)
    const link = _links['confirmationBase']?.href.split('?')[0] ?? ''
    const id = link.split('/').at(-1)
    assert.equal((await beside.ask(`/softwaremodules/${id}/artifacts`)).status, 404)
    const confirmed = await beside.ask(`${link}/feedback`, {
      method: 'POST',
      headers: { 'content-type': 'application/cbor' },
      body: new Uint8Array(encode({ confirmation: 'confirmed' })),
    })
    assert.equal(confirmed.status, 200)
    assert.equal((await deploymentOf(beside)).id, id)
    assert.equal(await beside.say(`/deploymentBase/${id}`, 'closed'), 200)
    assert.equal((await round).outcome, 'updated')
  }))
