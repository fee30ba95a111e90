/** A stock client of hawkBit's DDI, by hand: what SWUpdate or rauc-hawkbit-updater ask, over the gateway's door. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { startGateway, type TestGateway, type TestVendor } from './start-gateway.ts'

/** An image that SWUpdate takes for one: cpio with checksums. */
export const imageOf = (bytes: number) =>
  new Uint8Array(Buffer.concat([Buffer.from('070702'), randomBytes(bytes)]))

export interface DdiRoot {
  readonly config: { readonly polling: { readonly sleep: string } }
  readonly _links: Readonly<Record<string, { readonly href: string }>>
}
export interface DdiDeployment {
  readonly id: string
  readonly deployment: {
    readonly download: string
    readonly update: string
    readonly chunks: readonly {
      readonly part: string
      readonly version: string
      readonly name: string
      readonly artifacts: readonly {
        readonly filename: string
        readonly size: number
        readonly hashes: Readonly<Record<string, string>>
        readonly _links: Readonly<Record<string, { readonly href: string }>>
      }[]
    }[]
  }
  readonly actionHistory?: { readonly status: string; readonly messages: readonly string[] }
}

export interface DdiClient {
  readonly device: `0x${string}`
  readonly path: string
  readonly token: string
  /** `path`: below the controller, or a link as it was handed out. */
  ask(path: string, init?: RequestInit): Promise<Response>
  get<T>(path: string): Promise<T>
  say(path: string, json: unknown): Promise<number>
  feedback(id: string, execution: string, finished?: string): Promise<number>
  /** Polls, and follows the link to the deployment. */
  deployment(): Promise<DdiDeployment>
  artifact(): Promise<{
    readonly path: string
    readonly entry: DdiDeployment['deployment']['chunks'][number]['artifacts'][number]
  }>
}

function clientOf(
  rig: TestGateway,
  vendor: string,
  controllerId: string,
  device: `0x${string}`,
  token: string,
): DdiClient {
  const path = `/ddi/${vendor}/controller/v1/${controllerId}`
  const client: DdiClient = {
    device,
    path,
    token,
    ask(link, init = {}) {
      const url = link.startsWith('http') ? new URL(link) : undefined
      const where = url === undefined ? path + link : url.pathname + url.search
      const headers = { authorization: `TargetToken ${token}`, ...(init.headers as object) }
      return rig.request(where, { ...init, headers })
    },
    async get<T>(link: string) {
      const answer = await client.ask(link)
      const text = await answer.text()
      assert.equal(answer.status, 200, text)
      return JSON.parse(text) as T
    },
    async say(link, json) {
      const answer = await client.ask(link, {
        method: link.endsWith('/configData') ? 'PUT' : 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(json),
      })
      await answer.text()
      return answer.status
    },
    feedback: (id, execution, finished = 'none') =>
      // SWUpdate adds id and time, which hawkBit does not know.
      client.say(`/deploymentBase/${id}/feedback`, {
        id,
        time: '20261126T150000',
        status: { execution, result: { finished }, details: ['said by the client'] },
      }),
    async deployment() {
      const { _links } = await client.get<DdiRoot>('')
      const link = _links['deploymentBase']
      assert.ok(link, 'there is something to do')
      return client.get<DdiDeployment>(link.href)
    },
    async artifact() {
      const entry = (await client.deployment()).deployment.chunks[0]?.artifacts[0]
      const link = entry?._links['download-http']
      assert.ok(entry && link)
      return { path: link.href, entry }
    },
  }
  return client
}

export async function admitDdi(
  rig: TestGateway,
  acme: TestVendor,
  controllerId: string,
  more: { readonly confirm?: boolean; readonly groups?: readonly string[] } = {},
): Promise<DdiClient> {
  const made = await rig.call<{
    device: `0x${string}`
    token: string
    url: string
    tenant: string
  }>('POST', `/v1/vendors/${acme.vendor}/ddi/devices`, {
    expect: 201,
    token: acme.token,
    json: { controllerId, model: 'pump', ...more },
  })
  assert.equal(made.url, 'http://localhost/ddi')
  assert.equal(made.tenant, acme.vendor)
  return clientOf(rig, acme.vendor, controllerId, made.device, made.token)
}

/** A gateway with seeds and one vendor. */
export async function withDdiGateway(
  run: (rig: TestGateway, acme: TestVendor) => Promise<void>,
  options: Parameters<typeof startGateway>[0] = {},
): Promise<void> {
  const rig = await startGateway(options)
  try {
    await rig.saySeeds()
    await run(rig, await rig.createVendor())
  } finally {
    await rig.remove()
  }
}
