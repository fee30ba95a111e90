import type { WhoAmI } from '../../gateway/client.ts'

/** Who is signed in. The token stays in this tab (session storage) and goes when the tab is closed. */
export interface Session {
  readonly token: string
  readonly vendor: string
  readonly scopes: WhoAmI['scopes']
}

const KEY = 'ioex-session'

export function loadSession(): Session | undefined {
  const text = sessionStorage.getItem(KEY)
  return text === null ? undefined : (JSON.parse(text) as Session)
}

export function saveSession(session: Session): void {
  sessionStorage.setItem(KEY, JSON.stringify(session))
}

export function endSession(): void {
  sessionStorage.removeItem(KEY)
}
