/**
 * Runs the tests of one suite with node:test: `fast` is every `*.test.ts` beside its file and in `test/`
 * but the heavy folders; any other name is a folder below `test/`. The fast ones run two files at
 * a time, as the reference machine has two cores; a heavy one has the machine to itself.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'

const HEAVY = ['stories', 'network', 'interop', 'attack', 'soak', 'page', 'load']
const [suite = 'fast', ...rest] = process.argv.slice(2)

const everything = globSync(
  '{node,gateway,contracts-bridge,vendor-console,load,test}/**/*.test.ts',
  {
    exclude: (path) => path.includes('node_modules'),
  },
).sort()
const isHeavy = (path: string) => HEAVY.some((folder) => path.startsWith(`test/${folder}/`))
const files =
  suite === 'fast'
    ? everything.filter((path) => !isHeavy(path))
    : everything.filter((path) => path.startsWith(`test/${suite}/`))

if (files.length === 0) {
  process.stderr.write(`there is no test in the suite "${suite}"\n`)
  process.exit(2)
}
const child = spawn(
  process.execPath,
  [
    '--test',
    '--test-concurrency=2',
    '--test-timeout=300000',
    '--test-reporter=spec',
    ...rest,
    ...files,
  ],
  { stdio: 'inherit' },
)
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 0 : 1)))
