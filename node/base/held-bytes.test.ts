import assert from 'node:assert/strict'
import { test } from 'node:test'
import { free, holdBytes } from './index.ts'

test('bytes of one user are freed when they are released', () => {
  const bytes = new Uint8Array(8_192).fill(7)
  const held = holdBytes(bytes.subarray(33))
  assert.equal(held.bytes.byteLength, 8_192 - 33)
  held.release()
  assert.equal(bytes.byteLength, 0)
  assert.throws(() => held.bytes, /released/)
})

test('bytes that are shared live until the last user has released them, however often one does', () => {
  const bytes = new Uint8Array(8_192).fill(7)
  const first = holdBytes(bytes)
  const second = first.share()
  first.release()
  first.release()
  assert.equal(second.bytes[8_191], 7)
  second.release()
  assert.equal(bytes.byteLength, 0)
})

test('bytes that one user keeps are not freed by the others', () => {
  const first = holdBytes(new Uint8Array(8_192).fill(7))
  const second = first.share()
  const kept = second.keep()
  first.release()
  second.release()
  assert.equal(kept[0], 7)
})

test('whoever frees bytes frees every view of them', () => {
  const bytes = new Uint8Array(8_192)
  free(bytes.subarray(10, 20))
  assert.equal(bytes.byteLength, 0)
})

test("a slice of Node's pool is not freed", () => {
  const others = Buffer.from('somebody else')
  const own = Buffer.allocUnsafe(100)
  assert.equal(own.buffer, others.buffer)
  free(own)
  assert.equal(others.toString(), 'somebody else')
})
