import { Alert, Text } from '@mantine/core'
import { CallError } from '../api/index.ts'

/** An error as a person needs it: what happened and what to do. */
export function Troubles({ error }: { readonly error: Error | null | undefined }) {
  if (error === null || error === undefined) return null
  const fix = error instanceof CallError ? error.fix : undefined
  const code = error instanceof CallError ? error.code : 'error'
  return (
    <Alert color="red" title={error.message} role="alert">
      {fix === undefined ? null : <Text size="sm">{fix}</Text>}
      <Text size="xs" c="dimmed">
        {code}
      </Text>
    </Alert>
  )
}
