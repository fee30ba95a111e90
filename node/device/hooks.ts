/**
 * Programs of the device's owner, run before and after each step of an update: executables in one folder, named
 * after the step. A step does not begin while its before-hook says no; what an after-hook says changes nothing.
 * After a crash a before-hook is run again; an after-hook is run once at most.
 *
 * Each is told `IOEX_STEP`, `IOEX_VERSION`, `IOEX_ROOT` and `IOEX_INSTALLED_VERSION` (empty at first), and runs
 * without a shell.
 */
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { type AbortOptions, asError, type Clock, codeOf, type Log } from '../base/index.ts'
import { HOOK_WITHIN_MS } from './limits.ts'
import type { Hold } from './policy/policy.ts'
import { runProgram } from './run-command.ts'

type BeforeStep = 'before-download' | 'before-switch'
type AfterStep = 'after-download' | 'after-switch' | 'after-confirm' | 'after-fall-back'

interface Subject {
  readonly root: string
  readonly version: string
}

export interface Hooks {
  /** Why the step has to wait; undefined: it may begin. */
  before(step: BeforeStep, target: Subject, abort?: AbortOptions): Promise<Hold | undefined>
  after(step: AfterStep, target: Subject, abort?: AbortOptions): Promise<void>
}

export function createHooks(
  needs: { readonly clock: Clock; readonly log: Log; readonly installedVersion: () => string },
  options: { readonly folder: string | undefined; readonly withinMs?: number },
): Hooks {
  const { folder, withinMs = HOOK_WITHIN_MS } = options

  /** Undefined when there is none, or it may go on; else what it did. */
  const run = async (
    step: BeforeStep | AfterStep,
    { root, version }: Subject,
    abort: AbortOptions = {},
  ): Promise<string | undefined> => {
    if (folder === undefined) return undefined
    const program = join(folder, step)
    if (!(await isExecutable(program))) return undefined
    const env = {
      IOEX_STEP: step,
      IOEX_ROOT: root,
      IOEX_VERSION: version,
      IOEX_INSTALLED_VERSION: needs.installedVersion(),
    }
    try {
      const { exitCode, timedOut } = await runProgram(needs, program, {
        ...abort,
        env,
        timeoutMs: withinMs,
      })
      if (exitCode === 0) return undefined
      return timedOut ? `took longer than ${withinMs} ms` : `ended with ${exitCode ?? 'a signal'}`
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      return `could not be run: ${asError(thrown).message}`
    }
  }

  return {
    async before(step, target, abort) {
      const said = await run(step, target, abort)
      return said === undefined
        ? undefined
        : { reason: 'hook-postponed', detail: `the hook ${step} ${said}` }
    },
    async after(step, target, abort) {
      const said = await run(step, target, abort)
      if (said !== undefined) needs.log.warn({ step, version: target.version }, `a hook ${said}`)
    },
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch (thrown) {
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes(codeOf(thrown) ?? '')) return false
    throw thrown
  }
}
