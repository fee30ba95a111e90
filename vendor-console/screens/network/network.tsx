import { Grid, Paper, Stack, Text, Title } from '@mantine/core'
import { useNetwork } from '../../api/index.ts'
import { bytes, Loaded, time } from '../../parts/index.ts'

/** The public figures, counted by the gateway. */
export function Network() {
  const network = useNetwork()
  return (
    <Stack>
      <Title order={1} size="h2">
        Network
      </Title>
      <Loaded of={network} what="the figures">
        {(figures) => (
          <Stack>
            <Grid>
              {[
                ['Nodes heard in the last hour', String(figures.nodes)],
                ['Bootstraps', String(figures.bootstraps)],
                ['Seeds', String(figures.seeds)],
                ['Devices', String(figures.devices)],
                ['Releases', String(figures.releases)],
                ['Served, proven by receipts', bytes(Number(figures.bytesServed))],
              ].map(([name, value]) => (
                <Grid.Col key={name} span={{ base: 6, sm: 4 }}>
                  <Paper withBorder p="md" h="100%">
                    <Text size="xs" c="dimmed">
                      {name}
                    </Text>
                    <Text fw={700} size="lg">
                      {value}
                    </Text>
                  </Paper>
                </Grid.Col>
              ))}
            </Grid>
            <Text size="sm" c="dimmed">
              Counted at {time(figures.countedAt)}. Only nodes that said where they are count;
              nobody is placed on a map who did not ask for it.
            </Text>
          </Stack>
        )}
      </Loaded>
    </Stack>
  )
}
