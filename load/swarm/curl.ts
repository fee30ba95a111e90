/** One server and one client of the plain kind: nginx at the seed, curl at the device. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command, findProgram } from './commands.ts'
import { median } from './fluid.ts'
import type { Host } from './lab.ts'
import type { Hosts, Times } from './ours.ts'
import type { Cell } from './plan.ts'
import { type RivalOptions, startProgram, until, writeImage } from './rival.ts'

const PORT = 8080

/** curl's own clock, from its start to the last byte in a file; undefined when nginx or curl is missing. */
export async function measureCurl(
  { seeds: [seed], devices: [device] }: Hosts,
  cell: Cell,
  options: RivalOptions,
): Promise<Times | undefined> {
  const nginx = await findProgram('nginx')
  const curl = await findProgram('curl')
  if (nginx === undefined || curl === undefined || seed === undefined || device === undefined) {
    options.say('curl: not measured, as nginx or curl is missing (Debian: nginx-light, curl)')
    return undefined
  }
  const folder = join(options.folder, 'curl')
  await mkdir(folder, { recursive: true })
  await writeImage(join(folder, 'image'), cell.imageBytes)
  const config = join(folder, 'nginx.conf')
  await writeFile(config, configOf(folder, seed))
  const server = startProgram(seed, [nginx, '-c', config])
  try {
    const url = `http://${seed.host}:${PORT}/image`
    await until('nginx', server, () =>
      fetch(url, { method: 'HEAD' }).then(
        (answer) => answer.ok,
        () => false,
      ),
    )
    const seconds: number[] = []
    for (let run = 1; run <= cell.runs; run++) {
      const target = join(folder, `copy-${run}`)
      const call = [curl, '--silent', '--fail', '--output', target, '--write-out', '%{time_total}']
      const [program = '', ...inside] = device.inside
      seconds.push(Number(await command(program, ...inside, ...call, url)))
      options.say(`curl: ${seconds.at(-1)?.toFixed(2)} s`)
    }
    return { medianSeconds: median(seconds), lastSeconds: median(seconds) }
  } finally {
    await server.stop()
  }
}

function configOf(folder: string, seed: Host): string {
  return `daemon off; master_process off; error_log ${folder}/error.log; pid ${folder}/pid;
events { worker_connections 64; }
http {
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server { listen ${seed.host}:${PORT}; root ${folder}; }
}
`
}
