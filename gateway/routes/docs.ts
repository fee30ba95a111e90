/**
 * `/docs`: the OpenAPI document as one page without a script. The ready-made viewers load from other hosts,
 * or bring telemetry or a whole application framework along; this needs neither.
 */
import { PROBLEMS } from '../problems.ts'

interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema?: unknown }>>
  }
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly description: string
        readonly content?: Readonly<Record<string, { readonly schema?: unknown }>>
      }
    >
  >
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
}

export interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string }
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> }
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 0.9em/1.4 ui-monospace, monospace }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent) }
summary { cursor: pointer; padding: 0.25rem 0 }
table { border-collapse: collapse } td, th { text-align: left; padding: 0.15rem 1rem 0.15rem 0; vertical-align: top }
`

export function docsPage(document: ApiDocument): string {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationOf(path, method, operation)),
  )
  const schemas = Object.entries(document.components?.schemas ?? {}).map(
    ([name, schema]) =>
      `<details id="schema-${escaped(name)}"><summary><code>${escaped(name)}</code></summary>${jsonOf(schema)}</details>`,
  )
  const problems = Object.entries(PROBLEMS).map(
    ([code, [status, title]]) =>
      `<tr id="problem-${code}"><td><code>${code}</code></td><td>${status}</td><td>${escaped(title)}</td></tr>`,
  )
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(document.info.title)}</title><style>${STYLE}</style></head><body>
<h1>${escaped(document.info.title)} ${escaped(document.info.version)}</h1>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a>. Tokens go into the header
<code>Authorization: Bearer iox_…</code>. Errors are problem documents (RFC 9457); programs switch on <code>code</code>.</p>
<h2>Calls</h2>${operations.join('\n')}
<h2>Schemas</h2>${schemas.join('\n')}
<h2>Problems</h2><table><tr><th>code</th><th>status</th><th>title</th></tr>${problems.join('\n')}</table>
</body></html>`
}

function operationOf(path: string, method: string, operation: Operation): string {
  const who = operation.security?.flatMap((entry) => entry['bearer'] ?? []) ?? []
  const caller =
    operation.security === undefined
      ? 'anybody'
      : who.length === 0
        ? 'any token'
        : `token: ${who.join(', ')}`
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: place, required }) =>
      `<li><code>${escaped(name)}</code> in ${place}${required === true ? '' : ', optional'}</li>`,
  )
  const body = Object.entries(operation.requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<p>Body <code>${escaped(type)}</code></p>${jsonOf(schema)}`,
  )
  const answers = Object.entries(operation.responses).map(
    ([status, { description, content }]) =>
      `<li>${status}: ${escaped(description)} ${Object.values(content ?? {})
        .map(nameOf)
        .join(' ')}</li>`,
  )
  return `<details><summary><strong>${method.toUpperCase()}</strong> <code>${escaped(path)}</code> – ${escaped(operation.summary ?? '')} <small>(${escaped(caller)})</small></summary>
<p>${escaped(operation.description ?? '')}</p><ul>${parameters.join('')}</ul>${body.join('')}<ul>${answers.join('')}</ul></details>`
}

function nameOf({ schema }: { readonly schema?: unknown }): string {
  if (typeof schema !== 'object' || schema === null || !('$ref' in schema)) return ''
  const name = String(schema.$ref).split('/').at(-1) ?? ''
  return `<a href="#schema-${escaped(name)}">${escaped(name)}</a>`
}

function jsonOf(schema: unknown): string {
  return `<pre>${escaped(JSON.stringify(schema ?? {}, undefined, 2))}</pre>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
