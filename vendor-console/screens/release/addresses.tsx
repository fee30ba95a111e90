import { Paper, Stack, Text } from '@mantine/core'
import { useAddresses } from '../../api/index.ts'
import { CopyText, Empty, Loaded, time } from '../../parts/index.ts'

/** One entry per copy: where devices pull it from. */
export function Addresses({ id }: { readonly id: string }) {
  const addresses = useAddresses(id)
  return (
    <Loaded of={addresses} what="the addresses">
      {(entries) =>
        entries.length === 0 ? (
          <Empty title="No copy yet">The seeds are still fetching it.</Empty>
        ) : (
          <Stack gap="sm">
            {entries.map((entry, at) => (
              <Paper key={entry.peerId} withBorder p="sm" data-testid="address">
                <Stack gap={4}>
                  <Text size="sm" fw={600}>
                    Copy {at + 1}
                    {entry.region === undefined ? '' : `, ${entry.region}`}, kept until{' '}
                    {time(entry.pinUntil)}
                  </Text>
                  {entry.multiaddrs.map((address) => (
                    <CopyText key={address} text={address} what={`address of copy ${at + 1}`} />
                  ))}
                </Stack>
              </Paper>
            ))}
          </Stack>
        )
      }
    </Loaded>
  )
}
