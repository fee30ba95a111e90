import { Group, Paper, Progress, Stack, Text } from '@mantine/core'
import type { Release } from '../../api/index.ts'

const KINDS: readonly (readonly [name: keyof Release['devices'], words: string, colour: string])[] =
  [
    ['confirmed', 'running, confirmed', 'teal'],
    ['written', 'written', 'cyan'],
    ['downloading', 'downloading', 'blue'],
    ['waiting', 'waiting', 'gray'],
    ['fellBack', 'fell back', 'orange'],
    ['failed', 'failed', 'red'],
  ]

/** How many devices are where, as words with numbers; the bar repeats them. */
export function Counts({ counts }: { readonly counts: Release['devices'] }) {
  const total = KINDS.reduce((sum, [name]) => sum + counts[name], 0)
  return (
    <Paper withBorder p="md" aria-live="polite">
      <Stack gap="xs">
        <Text fw={600}>
          {counts.confirmed} of {total} devices run it
        </Text>
        <Progress.Root size="lg" aria-hidden="true">
          {KINDS.map(([name, , colour]) => (
            <Progress.Section
              key={name}
              value={total === 0 ? 0 : (100 * counts[name]) / total}
              color={colour}
            />
          ))}
        </Progress.Root>
        <Group gap="md">
          {KINDS.filter(([name]) => counts[name] > 0).map(([name, words]) => (
            <Text key={name} size="sm">
              {counts[name]} {words}
            </Text>
          ))}
        </Group>
      </Stack>
    </Paper>
  )
}
