/**
 * `npm run bench:ota -- BENCH [options]`: what an update over the air costs, and what it survives. Each bench is a
 * folder of its own; its `run.ts` is handed the rest of the line and gives the exit code.
 */
type Bench = (args: readonly string[]) => Promise<number>

const BENCHES: Readonly<Record<string, () => Promise<{ readonly run: Bench }>>> = {
  delta: () => import('./delta/run.ts'),
}

const [name = '', ...rest] = process.argv.slice(2)
const load = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
if (load === undefined) {
  const names = Object.keys(BENCHES).join(' | ')
  process.stderr.write(`usage: npm run bench:ota -- ${names} [options]; --help behind a name tells more\n`)
  process.exitCode = 2
} else {
  const { run } = await load()
  process.exitCode = await run(rest)
}
