import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const repository = join(import.meta.dirname, '../..')
const listed = await run('git', ['ls-files', '-z'], {
  cwd: repository,
  maxBuffer: 16 * 1024 * 1024,
})
const files = listed.stdout.split('\0').filter((path) => path !== '')

test('the top level is exactly the one of the design', () => {
  const top = new Set(
    files.map((path) => path.split('/')[0] ?? '').filter((name) => !name.startsWith('.')),
  )
  assert.deepEqual(
    [...top].sort(),
    [
      'README.md',
      'contracts-bridge',
      'gateway',
      'load',
      'node',
      'package-lock.json',
      'package.json',
      'test',
      'tsconfig.json',
      'vendor-console',
    ].sort(),
  )
})

test('no folder is a drawer for everything', () => {
  const drawers = new Set(['utils', 'util', 'common', 'helpers', 'lib', 'misc', 'src'])
  const found = files
    .map((path) => dirname(path).split('/'))
    .flat()
    .filter((name) => drawers.has(name))
  assert.deepEqual(found, [])
})

test('every dependency is pinned exactly', async () => {
  const loose: string[] = []
  for (const path of files.filter((path) => basename(path) === 'package.json')) {
    const manifest = JSON.parse(await readFile(join(repository, path), 'utf8')) as Record<
      string,
      unknown
    >
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
      for (const [name, version] of Object.entries(
        (manifest[kind] ?? {}) as Record<string, string>,
      )) {
        if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) loose.push(`${path}: ${name}@${version}`)
      }
    }
  }
  assert.deepEqual(loose, [])
})

test('the lock file names no host', async () => {
  const lock = await readFile(join(repository, 'package-lock.json'), 'utf8')
  assert.equal(
    /https?:\/\/(?!github\.com|opencollective|.*\bfunding\b)[^"]*\.tgz/.test(lock),
    false,
  )
})

test('every room of the peer has its door', () => {
  const rooms = new Set(
    files
      .filter((path) => /^node\/[^/]+\/[^/]+$/.test(path))
      .map((path) => path.split('/')[1] ?? ''),
  )
  const without = [...rooms].filter((room) => !files.includes(`node/${room}/index.ts`))
  assert.deepEqual(without, [])
})
