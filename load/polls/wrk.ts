import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Connections that are kept: with fewer the server would wait for the load, with more both only queue. */
const CONNECTIONS = 32

export interface Saturation {
  readonly perSecond: number
  readonly errors: number
}

/** As many GETs as one core of wrk gets through one server, each with the next token. */
export async function saturate(
  url: string,
  what: {
    readonly tokensFile: string
    readonly seconds: number
    readonly core: number
    readonly folder: string
  },
): Promise<Saturation> {
  const script = join(what.folder, 'saturate.lua')
  await writeFile(script, LUA)
  const { stdout } = await run(
    'taskset',
    ['-c', String(what.core), 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${what.seconds}s`]
      .concat(['-s', script, url, '--'])
      .concat([what.tokensFile]),
  )
  const result = /^requests (\d+) errors (\d+) us (\d+)$/m.exec(stdout)
  if (result === null) throw new Error(`wrk said something else than expected:\n${stdout}`)
  const [, requests, errors, micros] = result.map(Number)
  return { perSecond: ((requests ?? 0) / (micros ?? 1)) * 1e6, errors: errors ?? 0 }
}

const LUA = `
local heads = {}
local next_one = 0
function init(args)
  for token in io.lines(args[1]) do
    heads[#heads + 1] = wrk.format('GET', nil, { ['authorization'] = 'Bearer ' .. token })
  end
end
function request()
  next_one = next_one % #heads + 1
  return heads[next_one]
end
function done(summary)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('requests %d errors %d us %d\\n', summary.requests, errors, summary.duration))
end
`
