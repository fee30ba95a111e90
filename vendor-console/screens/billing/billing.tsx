import { Grid, Paper, Stack, Table, Text, Title } from '@mantine/core'
import { useBilling } from '../../api/index.ts'
import { bytes, Empty, gas, Loaded, short, time } from '../../parts/index.ts'

/** What was served, what it cost, and what is left: the same figures as the contracts have. */
export function Billing() {
  const billing = useBilling()
  return (
    <Stack>
      <Title order={1} size="h2">
        Billing
      </Title>
      <Loaded of={billing} what="the bills">
        {(data) => (
          <Stack gap="lg">
            <Grid>
              <Figure
                name="Balance"
                value={gas(data.balanceGas18)}
                note={
                  data.balanceAt === null
                    ? 'the bridge has not said yet'
                    : `read from the chain ${time(data.balanceAt)}`
                }
              />
              <Figure
                name="Billed"
                value={gas(data.billedGas18)}
                note="in epochs that were signed"
              />
              <Figure
                name="Not yet billed"
                value={gas(data.unsettledGas18)}
                note={`estimate: ${bytes(Number(data.unsettledBytes))} in ${data.unsettledReceipts} receipts`}
              />
            </Grid>
            {data.bills.length === 0 ? (
              <Empty title="No bill yet">
                The first one comes with the first epoch after a device was served.
              </Empty>
            ) : (
              <Table.ScrollContainer minWidth={560}>
                <Table verticalSpacing="sm">
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Epoch</Table.Th>
                      <Table.Th>Served</Table.Th>
                      <Table.Th>Receipts</Table.Th>
                      <Table.Th>Amount</Table.Th>
                      <Table.Th>Settled</Table.Th>
                      <Table.Th>Transaction</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {data.bills.map((bill) => (
                      <Table.Tr key={bill.epoch}>
                        <Table.Td>{bill.epoch}</Table.Td>
                        <Table.Td>{bytes(Number(bill.bytes))}</Table.Td>
                        <Table.Td>{bill.receipts}</Table.Td>
                        <Table.Td>{gas(bill.gas18)}</Table.Td>
                        <Table.Td>
                          {bill.settledAt === null ? 'waiting' : time(bill.settledAt)}
                        </Table.Td>
                        <Table.Td className="mono" title={bill.transaction ?? ''}>
                          {bill.transaction === null ? '–' : short(bill.transaction)}
                        </Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            )}
          </Stack>
        )}
      </Loaded>
    </Stack>
  )
}

function Figure({
  name,
  value,
  note,
}: {
  readonly name: string
  readonly value: string
  readonly note: string
}) {
  return (
    <Grid.Col span={{ base: 12, sm: 4 }}>
      <Paper withBorder p="md" h="100%">
        <Text size="xs" c="dimmed">
          {name}
        </Text>
        <Text fw={700} size="lg">
          {value}
        </Text>
        <Text size="xs" c="dimmed">
          {note}
        </Text>
      </Paper>
    </Grid.Col>
  )
}
