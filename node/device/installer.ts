import type { AbortOptions, Clock } from '../base/index.ts'
import { HEALTH_RETRY_MS, HEALTH_WITHIN_MS, INSTALL_TIMEOUT_MS } from './limits.ts'
import { runShell } from './run-command.ts'
import type { Slots } from './slots.ts'
import { deviceError, type InstalledRelease } from './types.ts'

/** How an image becomes the running one. Every call may come twice, as a crash may fall between it and the note of it. */
export interface Installer {
  /** Throws `install-failed`. */
  install(candidate: InstalledRelease, options?: AbortOptions): Promise<void>
  /** Does it run and do its work? */
  isHealthy(candidate: InstalledRelease, options?: AbortOptions): Promise<boolean>
  /** Makes an earlier image the running one again. Throws `install-failed`. */
  restore(previous: InstalledRelease, options?: AbortOptions): Promise<void>
}

export interface InstallerOptions {
  /**
   * Run with IOEX_IMAGE, IOEX_SLOT, IOEX_VERSION, IOEX_RELEASE and IOEX_SHA256 in its environment; 0 means installed.
   * May be run again with the same image. Left out: the slot link is all there is to switch.
   */
  readonly installCommand?: string
  /** 0 means well. Asked again every 2 s until `healthWithinMs` is over. Left out: whatever runs is well. */
  readonly healthCommand?: string
  readonly healthWithinMs?: number
  readonly installTimeoutMs?: number
}

export function createInstaller(
  needs: { readonly slots: Slots; readonly clock: Clock },
  options: InstallerOptions = {},
): Installer {
  const { slots, clock } = needs
  const { installCommand, healthCommand } = options
  const envOf = (release: InstalledRelease) => ({
    IOEX_IMAGE: slots.image(release.slot),
    IOEX_SLOT: release.slot,
    IOEX_VERSION: release.version,
    IOEX_RELEASE: release.root,
    IOEX_SHA256: release.sha256.slice(2),
  })

  const activate = async (release: InstalledRelease, abort: AbortOptions) => {
    if (installCommand !== undefined) {
      const timeoutMs = options.installTimeoutMs ?? INSTALL_TIMEOUT_MS
      const env = envOf(release)
      const { exitCode, timedOut } = await runShell(needs, installCommand, {
        env,
        timeoutMs,
        ...abort,
      })
      if (exitCode !== 0) {
        const how = timedOut
          ? `took over ${timeoutMs / 1000} s`
          : `ended with ${exitCode ?? 'a signal'}`
        throw deviceError('install-failed', `the install command ${how}`, {
          blame: 'local',
          fix: 'See what it printed; the image stays on disk and the command is run again.',
        })
      }
    }
    await slots.switchTo(release.slot)
  }

  return {
    install: (candidate, abort = {}) => activate(candidate, abort),
    restore: (previous, abort = {}) => activate(previous, abort),
    async isHealthy(candidate, abort = {}) {
      if (healthCommand === undefined) return true
      const withinMs = options.healthWithinMs ?? HEALTH_WITHIN_MS
      const deadlineMs = clock.monotonicMs() + withinMs
      for (;;) {
        const leftMs = deadlineMs - clock.monotonicMs()
        if (leftMs <= 0) return false
        const { exitCode } = await runShell(needs, healthCommand, {
          env: envOf(candidate),
          timeoutMs: leftMs,
          ...abort,
        })
        if (exitCode === 0) return true
        await clock.sleep(Math.min(HEALTH_RETRY_MS, Math.max(1, leftMs)), abort)
      }
    },
  }
}
