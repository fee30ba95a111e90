import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { codeOf } from '@ioex/node/base'
import { openJournal } from './journal.ts'

let folder = ''
const path = () => join(folder, 'bridge.journal')

async function contents(): Promise<unknown[]> {
  const records: unknown[] = []
  const journal = await openJournal(folder, (record) => records.push(record))
  await journal.close()
  return records
}

async function written(records: readonly unknown[]): Promise<void> {
  const journal = await openJournal(folder, () => undefined)
  await journal.append(records)
  await journal.close()
}

describe('the journal', () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ioex-journal-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  test('gives back what was appended, in order', async () => {
    await written([{ a: 1 }, { b: 'zwei\nÜ' }])
    await written([{ c: 3 }])
    assert.deepEqual(await contents(), [{ a: 1 }, { b: 'zwei\nÜ' }, { c: 3 }])
  })

  test('drops a last record that a crash cut short, at any byte, and goes on', async () => {
    await written([{ a: 1 }, { b: 2 }])
    const whole = await readFile(path())
    const firstLine = whole.indexOf(10) + 1
    for (let size = firstLine; size < whole.byteLength - 1; size++) {
      await writeFile(path(), whole)
      await truncate(path(), size)
      assert.deepEqual(await contents(), [{ a: 1 }], `cut at ${size}`)
      await written([{ c: 3 }])
      assert.deepEqual(await contents(), [{ a: 1 }, { c: 3 }])
    }
    await writeFile(path(), whole.subarray(0, -1))
    await written([{ c: 3 }])
    assert.deepEqual(await contents(), [{ a: 1 }, { b: 2 }, { c: 3 }], 'only the line end is lost')
  })

  test('refuses damage before its end instead of losing what follows', async () => {
    await written([{ a: 1 }, { b: 2 }])
    const text = await readFile(path(), 'utf8')
    await writeFile(path(), text.replace('"a":1', '"a":7'))
    await assert.rejects(contents(), (thrown) => codeOf(thrown) === 'journal-damaged')
  })

  test('belongs to one bridge at a time, and to nobody after kill -9', async () => {
    const journal = await openJournal(folder, () => undefined)
    await assert.rejects(contents(), (thrown) => codeOf(thrown) === 'journal-in-use')
    await journal.close()
    const script = `
      const { openJournal } = await import(${JSON.stringify(join(import.meta.dirname, 'journal.ts'))})
      const journal = await openJournal(${JSON.stringify(folder)}, () => undefined)
      await journal.append([{ a: 1 }])
      process.stdout.write('held')
      setInterval(() => undefined, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await assert.rejects(contents(), (thrown) => codeOf(thrown) === 'journal-in-use')
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.deepEqual(await contents(), [{ a: 1 }])
  })

  test('cuts off what a failed write has left behind', async () => {
    const journal = await openJournal(folder, () => undefined)
    await journal.append([{ a: 1 }])
    await appendFile(path(), '0badc0de {"half"')
    await journal.append([{ b: 2 }])
    await journal.close()
    await journal.close()
    assert.deepEqual(await contents(), [{ a: 1 }, { b: 2 }])
  })
})
