import {
  Alert,
  Button,
  Group,
  NumberInput,
  Paper,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useGateway } from '../../api/index.ts'
import { CopyText, Troubles, time } from '../../parts/index.ts'
import { DeviceTable } from './device-table.tsx'

/** The fleet, and the way in: a code that turns a machine into one of the vendor's devices. */
export function Devices() {
  return (
    <Stack gap="lg">
      <Title order={1} size="h2">
        Devices
      </Title>
      <AddDevice />
      <DeviceTable />
    </Stack>
  )
}

function AddDevice() {
  const gateway = useGateway()
  const [count, setCount] = useState<number | string>(1)
  const making = useMutation({
    mutationFn: (model: string) => gateway.makeCode(model, Number(count)),
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const model = new FormData(event.currentTarget).get('model')
    if (typeof model === 'string') making.mutate(model.trim())
  }
  return (
    <Paper withBorder p="md">
      <form onSubmit={submit}>
        <Stack>
          <Group align="flex-end">
            <TextInput name="model" label="Model" placeholder="pump-s3" required />
            <NumberInput
              label="Devices that may use the code"
              min={1}
              max={10_000}
              value={count}
              onChange={setCount}
            />
            <Button type="submit" loading={making.isPending}>
              Make a code
            </Button>
          </Group>
          <Troubles error={making.error} />
          {making.data === undefined ? null : (
            <Alert
              title={`Code ${making.data.code}, valid until ${time(making.data.expiresAt)}`}
              role="status"
            >
              <Text size="sm" mb="xs">
                Run this on the device:
              </Text>
              <CopyText
                text={`npx ioex device enroll --gateway ${window.location.origin} --code ${making.data.code}`}
                what="the command"
              />
            </Alert>
          )}
        </Stack>
      </form>
    </Paper>
  )
}
