import assert from 'node:assert/strict'
import { PROBLEM_MEDIA_TYPE, ProblemSchema } from '@ioex/node/api'
import type { z } from 'zod'
import type { App } from '../app.ts'

interface RouteDefinition {
  readonly method: string
  readonly path: string
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: z.ZodType }>> }>
  >
}

/**
 * zod-openapi does not look at what handlers answer: a wrong type or an undeclared field goes out as it is. In
 * tests every JSON answer is held against the schema of its route, to the letter.
 */
export function createAnswerCheck(app: App) {
  const routes = app.openAPIRegistry.definitions.flatMap((definition) =>
    definition.type === 'route' ? [definition.route as unknown as RouteDefinition] : [],
  )
  const patternOf = (path: string) => new RegExp(`^${path.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`)
  const candidates = routes.map((route) => ({ route, pattern: patternOf(route.path) }))

  return async (method: string, path: string, answer: Response): Promise<void> => {
    const type = answer.headers.get('content-type') ?? ''
    if (answer.status >= 400) {
      assert.equal(type, PROBLEM_MEDIA_TYPE, `${method} ${path}: ${answer.status} is no problem`)
      const problem: unknown = await answer.clone().json()
      assert.deepEqual(ProblemSchema.strict().parse(problem), problem)
      assert.equal((problem as { status: number }).status, answer.status)
      return
    }
    if (!type.startsWith('application/json') || path === '/openapi.json') return
    // Formats of others, which their own clients hold them against.
    if (path.startsWith('/tuf/') || path.startsWith('/ddi/')) return
    const found = candidates
      .filter(({ route, pattern }) => route.method === method.toLowerCase() && pattern.test(path))
      .sort((a, b) => a.route.path.split('{').length - b.route.path.split('{').length)[0]
    assert.ok(found, `${method} ${path} answers JSON but is not documented`)
    const schema = found.route.responses[answer.status]?.content?.['application/json']?.schema
    assert.ok(schema, `${method} ${path} answers ${answer.status}, which is not documented`)
    const body: unknown = await answer.clone().json()
    // Equal after parsing: nothing missing, nothing undeclared, nothing that had to be changed.
    assert.deepEqual(schema.parse(body), body, `${method} ${path}`)
  }
}
