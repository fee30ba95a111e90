/**
 * `npm run bench:ota -- NAME [options]`: what updates must show. Each NAME is a folder here that tells its own story.
 * Exit 0 when what it measures holds, 1 when not, 2 on misuse.
 */
const BENCHES: Readonly<
  Record<string, () => Promise<{ run(args: readonly string[]): Promise<number> }>>
> = {
  delta: () => import('./delta/run.ts'),
  memory: () => import('./memory/run.ts'),
  power: () => import('./power/run.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench:ota -- ${Object.keys(BENCHES).join('|')} [options]\n`)
  process.exit(2)
}
process.exit(await (await bench()).run(args))
