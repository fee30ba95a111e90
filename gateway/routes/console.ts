import { readFile, stat } from 'node:fs/promises'
import { extname, join, normalize, sep } from 'node:path'
import { codeOf } from '@ioex/node/base'
import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from '../env.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
}

/** Paths that are no pages of the console, so that a mistyped call gets a problem and not a page. */
const NOT_PAGES = /^\/(v1|tuf|ipfs|docs|openapi\.json|healthz|readyz|metrics)(\/|$)/

/**
 * The built console: its files, and `index.html` for every other path, as its routes live in the page.
 * Files of the build carry their hash in the name and never change; the page itself is asked for each time.
 */
export function serveConsole(folder: string): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const { path, method } = c.req
    if ((method !== 'GET' && method !== 'HEAD') || NOT_PAGES.test(path)) return next()
    const file = await fileBelow(folder, path)
    const found =
      file ?? (extname(path) === '' ? await fileBelow(folder, '/index.html') : undefined)
    if (found === undefined) return next()
    const isAsset = path.startsWith('/assets/')
    return new Response(new Uint8Array(await readFile(found)), {
      headers: {
        'content-type': TYPES[extname(found)] ?? 'application/octet-stream',
        'cache-control': isAsset ? 'public, max-age=31536000, immutable' : 'no-cache',
      },
    })
  }
}

/** Undefined when there is no such file, or the path leads out of the folder. */
async function fileBelow(folder: string, path: string): Promise<string | undefined> {
  let name: string
  try {
    name = decodeURIComponent(path)
  } catch (thrown) {
    if (thrown instanceof URIError) return undefined
    throw thrown
  }
  const root = normalize(folder + sep)
  const full = normalize(join(root, name))
  if (!full.startsWith(root) || name.includes('\0')) return undefined
  try {
    return (await stat(full)).isFile() ? full : undefined
  } catch (thrown) {
    const code = codeOf(thrown)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined
    throw thrown
  }
}
