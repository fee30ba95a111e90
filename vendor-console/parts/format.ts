const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** 1536 as "1.5 KiB". */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return '–'
  const step = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(count) / 10))
  const value = count / 1024 ** step
  return `${new Intl.NumberFormat(undefined, { maximumFractionDigits: step === 0 ? 0 : 1 }).format(value)} ${UNITS[step]}`
}

export function time(text: string | null | undefined): string {
  if (text === null || text === undefined) return '–'
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }).format(
    new Date(text),
  )
}

/** An amount in units of 10^-18 as decimal text, without trailing zeros. */
export function gas(amount18: string | null | undefined): string {
  if (amount18 === null || amount18 === undefined) return '–'
  const digits = amount18.padStart(19, '0')
  const fraction = digits.slice(-18).replace(/0+$/, '')
  return `${digits.slice(0, -18)}${fraction === '' ? '' : `.${fraction}`} GAS`
}

/** The head and tail of a long name. */
export function short(text: string): string {
  return text.length <= 20 ? text : `${text.slice(0, 10)}…${text.slice(-6)}`
}
