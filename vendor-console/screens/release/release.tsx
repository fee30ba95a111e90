import { Anchor, Button, Grid, Group, Paper, Stack, Text, Title } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type Release, useGateway, useRelease, useReleaseProgress } from '../../api/index.ts'
import { bytes, CopyText, Loaded, ReleaseStateBadge, Troubles, time } from '../../parts/index.ts'
import { DeviceTable } from '../devices/device-table.tsx'
import { Addresses } from './addresses.tsx'
import { Counts } from './counts.tsx'

/** One release: what it is, where its copies are, and how far the devices have got. */
export function ReleaseScreen({ id }: { readonly id: string }) {
  const release = useRelease(id)
  const progress = useReleaseProgress(id)
  return (
    <Stack>
      <Anchor component={Link} to="/releases">
        All releases
      </Anchor>
      <Loaded of={release} what="the release">
        {(loaded) => (
          <Stack gap="lg">
            <Heading release={loaded} />
            <Counts counts={progress?.devices ?? loaded.devices} />
            <Facts release={loaded} />
            <section aria-labelledby="addresses">
              <Title order={2} size="h3" id="addresses" mb="sm">
                Addresses
              </Title>
              <Addresses id={id} />
            </section>
            <section aria-labelledby="devices">
              <Title order={2} size="h3" id="devices" mb="sm">
                Devices of {loaded.model}
              </Title>
              <DeviceTable model={loaded.model} />
            </section>
          </Stack>
        )}
      </Loaded>
    </Stack>
  )
}

function Heading({ release }: { readonly release: Release }) {
  const gateway = useGateway()
  const queries = useQueryClient()
  const withdrawing = useMutation({
    mutationFn: () => gateway.withdraw(release.id),
    onSuccess: () => queries.invalidateQueries(),
  })
  const canWithdraw = release.state === 'published' || release.state === 'superseded'
  const ask = () => {
    const sure = window.confirm(
      `Withdraw ${release.model} ${release.version}? No device will be granted it any more. This cannot be undone.`,
    )
    if (sure) withdrawing.mutate()
  }
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Group>
          <Title order={1} size="h2">
            {release.model} {release.version}
          </Title>
          <ReleaseStateBadge state={release.state} />
        </Group>
        {canWithdraw ? (
          <Button color="red" variant="light" onClick={ask} loading={withdrawing.isPending}>
            Withdraw
          </Button>
        ) : null}
      </Group>
      {release.notes === '' ? null : <Text>{release.notes}</Text>}
      <Troubles error={withdrawing.error} />
    </Stack>
  )
}

function Facts({ release }: { readonly release: Release }) {
  const facts: readonly (readonly [string, string])[] = [
    ['Image', bytes(release.imageBytes)],
    ['Sealed, all blocks', bytes(release.sealedBytes)],
    ['New compared with earlier releases', bytes(release.newBytes)],
    ['Copies', `${release.copies} of ${release.copiesWanted}`],
    ['Published', time(release.publishedAt)],
  ]
  return (
    <Paper withBorder p="md">
      <Stack>
        <Grid>
          {facts.map(([name, value]) => (
            <Grid.Col key={name} span={{ base: 6, sm: 4 }}>
              <Text size="xs" c="dimmed">
                {name}
              </Text>
              <Text fw={600}>{value}</Text>
            </Grid.Col>
          ))}
        </Grid>
        <CopyText text={release.id} what="the id of the release" />
      </Stack>
    </Paper>
  )
}
