import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { publishFile, watchDevice } from '@ioex/gateway/localnet'
import { firmwareLike, MIB, openStage, sha256Of, type Stage, shape, writeImage } from './stage.ts'

describe('a second release of the same image', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage({ seeds: 2 })
  })
  after(() => stage.close())

  test('with 1 % changed in ten places, one of them an insertion, costs devices under 5 % of it', async (t) => {
    const size = (shape === 'small' ? 32 : 64) * MIB
    const first = firmwareLike(size)
    const second = changed(first)
    const device = await stage.device('device', 'box')
    let before = 0
    for (const [version, image] of [
      ['1.0.0', first],
      ['1.1.0', second],
    ] as const) {
      const file = await writeImage(join(stage.folder, `${version}.bin`), image)
      const { result } = watchDevice(device, version, () => undefined)
      await publishFile(stage.network.gatewayUrl, stage.vendor, { file, model: 'box', version })
      const done = await result
      assert.equal(done.sha256, await sha256Of(file))
      const share = done.fetchedBytes / image.byteLength
      t.diagnostic(
        `${version}: ${done.fetchedBytes} bytes, ${(100 * share).toFixed(2)} % of the image`,
      )
      if (version === '1.0.0') before = done.fetchedBytes
      else assert.ok(share < 0.05, `the second release took ${(100 * share).toFixed(2)} %`)
    }
    assert.ok(before > 0)
  })
})

/** Nine places overwritten and one grown, 1 % of the bytes in all. */
function changed(image: Buffer): Buffer {
  const part = Math.floor(image.byteLength / 1000)
  const copy = Buffer.from(image)
  for (let place = 1; place <= 9; place++) {
    randomBytes(part).copy(copy, Math.floor((image.byteLength * place) / 11))
  }
  const middle = Math.floor(image.byteLength / 2) + 12_345
  return Buffer.concat([copy.subarray(0, middle), randomBytes(part), copy.subarray(middle)])
}
