/** What the shell gets. The same table for every command; `ioex help exit-codes` prints it. */
export const ExitCode = {
  done: 0,
  failed: 1,
  misuse: 2,
  partly: 3,
  signIn: 4,
  unreachable: 5,
  interrupted: 130,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

export const EXIT_CODE_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'failed',
  2: 'wrong usage',
  3: 'partly done',
  4: 'sign-in needed',
  5: 'not reachable, trying again may help',
  130: 'interrupted',
}
