import { Loader, Stack, Text } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Troubles } from './troubles.tsx'

interface Props<T> {
  readonly of: UseQueryResult<T>
  readonly what: string
  readonly children: (data: T) => ReactNode
}

/** Loading, failed and ready as one: old data stays on the page when the gateway is away, and says its age. */
export function Loaded<T>({ of, what, children }: Props<T>) {
  if (of.data === undefined) {
    return of.error === null ? (
      <Loader aria-label={`Loading ${what}`} />
    ) : (
      <Troubles error={of.error} />
    )
  }
  const heard = new Date(of.dataUpdatedAt).toLocaleTimeString()
  return (
    <Stack>
      {of.error === null ? null : <Troubles error={of.error} />}
      {of.error === null ? null : <Text size="sm">Last heard at {heard}.</Text>}
      {children(of.data)}
    </Stack>
  )
}
