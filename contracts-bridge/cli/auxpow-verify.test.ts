import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

const vectors = join(import.meta.dirname, '../../test/vectors/auxpow')
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ioex-auxpow-'))
})
after(() => rm(folder, { recursive: true, force: true }))

function verify(...args: string[]): Promise<{ code: number; json: Record<string, unknown> }> {
  const program = join(import.meta.dirname, 'ioex-auxpow.ts')
  return new Promise((resolve) => {
    execFile(process.execPath, [program, 'verify', ...args, '--json'], (error, stdout) => {
      const json = JSON.parse(stdout) as Record<string, unknown>
      resolve({ code: error === null ? 0 : Number(error.code), json })
    })
  })
}

test('a header with its proof is proven, and says what it is', async () => {
  const { code, json } = await verify(
    ...[join(vectors, 'namecoin_header_37174.fullheader.hex'), '--chain-id', '1'],
  )
  assert.equal(code, 0)
  assert.equal(json['hash'], '65ef89dc3da0c0df9b3d5309f89dd2eaceb81227605ead903d8ef6619d328b39')
  assert.deepEqual([json['treeSize'], json['slot']], [16, 11])
})

test('a whole block is proven with its transactions', async () => {
  const { code, json } = await verify(
    ...[join(vectors, 'dogecoin_371337.block.hex'), '--chain-id', '98'],
  )
  assert.equal(code, 0)
  assert.equal(json['hash'], '60323982f9c5ff1b5a954eac9dc1269352835f47c2c5222691d80f0d50dcf053')
  assert.equal(json['work'], 'scrypt')
})

test('a proof that is refused ends with 1 and the rule that it broke', async () => {
  const good = await readFile(join(vectors, 'namecoin_header_37174.fullheader.hex'), 'utf8')
  const file = join(folder, 'changed.hex')
  await writeFile(file, `${good.trim().slice(0, -1)}0`)
  const changed = await verify(file, '--chain-id', '1')
  assert.equal(changed.code, 1)
  assert.match(JSON.stringify(changed.json), /pow-above-target/)
  await writeFile(file, 'no digits')
  const text = await verify(file, '--chain-id', '1')
  assert.equal(text.code, 1)
  assert.match(JSON.stringify(text.json), /not-hex/)
})

test('a call without the chain is misuse', async () => {
  const { code } = await verify(join(vectors, 'namecoin_header_37174.fullheader.hex'))
  assert.equal(code, 2)
})
