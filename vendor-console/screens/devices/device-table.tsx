import { Progress, Table, Text } from '@mantine/core'
import { useDevices } from '../../api/index.ts'
import { DeviceStateBadge, Empty, Loaded, short, time } from '../../parts/index.ts'

/** Devices with what they last said of themselves; of one model, or all. */
export function DeviceTable({ model }: { readonly model?: string }) {
  const devices = useDevices()
  return (
    <Loaded of={devices} what="the devices">
      {(all) => {
        const list = model === undefined ? all : all.filter((device) => device.model === model)
        if (list.length === 0) {
          return (
            <Empty title="No device yet">
              Make a code under Devices, and enter it on a device.
            </Empty>
          )
        }
        return (
          <Table.ScrollContainer minWidth={560}>
            <Table verticalSpacing="sm">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Device</Table.Th>
                  <Table.Th>Model</Table.Th>
                  <Table.Th>Runs</Table.Th>
                  <Table.Th>State</Table.Th>
                  <Table.Th>Last heard</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {list.map((device) => (
                  <Table.Tr key={device.device} data-testid="device" data-state={device.state}>
                    <Table.Td className="mono" title={device.device}>
                      {short(device.device)}
                    </Table.Td>
                    <Table.Td>{device.model}</Table.Td>
                    <Table.Td>{device.running.version ?? 'nothing yet'}</Table.Td>
                    <Table.Td>
                      <DeviceStateBadge state={device.state} />
                      {device.state === 'downloading' && device.percent !== null ? (
                        <Progress
                          mt={4}
                          value={device.percent}
                          aria-label={`${Math.round(device.percent)} percent`}
                        />
                      ) : null}
                      {device.reason === null ? null : (
                        <Text size="xs" c="dimmed">
                          {device.reason}
                        </Text>
                      )}
                    </Table.Td>
                    <Table.Td>{time(device.lastSeenAt)}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )
      }}
    </Loaded>
  )
}
