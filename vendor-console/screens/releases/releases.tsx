import { Anchor, Button, Group, Modal, Stack, Table, Title } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Link } from '@tanstack/react-router'
import { useReleases, useVendor } from '../../api/index.ts'
import { bytes, Empty, Loaded, ReleaseStateBadge, time } from '../../parts/index.ts'
import { Custody, PublishYourself } from './custody.tsx'
import { Publish } from './publish.tsx'

/** All releases, newest first, and the way to a new one. */
export function Releases() {
  const releases = useReleases()
  const { data: vendor } = useVendor()
  const [publishing, { open, close }] = useDisclosure(false)
  return (
    <Stack>
      <Group justify="space-between">
        <Title order={1} size="h2">
          Releases
        </Title>
        <Button onClick={open}>Publish firmware</Button>
      </Group>
      {vendor !== undefined && <Custody vendor={vendor} />}
      <Modal
        opened={publishing}
        onClose={close}
        title="Publish firmware"
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {vendor?.custody === 'own' ? <PublishYourself /> : <Publish done={close} />}
      </Modal>
      <Loaded of={releases} what="the releases">
        {(list) =>
          list.length === 0 ? (
            <Empty title="No firmware yet">
              Publish your first file. It is packed, sealed and stored on the seeds; devices of its
              model pull it from there.
            </Empty>
          ) : (
            <Table.ScrollContainer minWidth={640}>
              <Table verticalSpacing="sm" highlightOnHover>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Version</Table.Th>
                    <Table.Th>Model</Table.Th>
                    <Table.Th>State</Table.Th>
                    <Table.Th>Image</Table.Th>
                    <Table.Th>Copies</Table.Th>
                    <Table.Th>Running</Table.Th>
                    <Table.Th>Published</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {list.map((release) => (
                    <Table.Tr key={release.id}>
                      <Table.Td>
                        <Anchor component={Link} to={`/releases/${release.id}`} fw={600}>
                          {release.version}
                        </Anchor>
                      </Table.Td>
                      <Table.Td>{release.model}</Table.Td>
                      <Table.Td>
                        <ReleaseStateBadge state={release.state} />
                      </Table.Td>
                      <Table.Td>{bytes(release.imageBytes ?? release.sealedBytes)}</Table.Td>
                      <Table.Td>
                        {release.copies} of {release.copiesWanted}
                      </Table.Td>
                      <Table.Td>{release.devices.confirmed}</Table.Td>
                      <Table.Td>{time(release.publishedAt)}</Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Loaded>
    </Stack>
  )
}
