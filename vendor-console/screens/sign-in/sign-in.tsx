import { Button, Center, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { CallError, createGateway, type Session } from '../../api/index.ts'
import { Troubles } from '../../parts/index.ts'

/** One field: the token that "npm start" or the operator has given. */
export function SignIn({ signedIn }: { readonly signedIn: (session: Session) => void }) {
  const [token, setToken] = useState('')
  const asking = useMutation({
    mutationFn: async (given: string): Promise<Session> => {
      const me = await createGateway(given, '').whoAmI()
      if (me.kind !== 'vendor' || me.vendor === null) {
        throw new CallError(`This is a token of a ${me.kind}.`, {
          code: 'token-kind-wrong',
          fix: 'Sign in with a token of a vendor; it begins with iox_v_.',
        })
      }
      return { token: given, vendor: me.vendor, scopes: me.scopes }
    },
    onSuccess: signedIn,
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    asking.mutate(token.trim())
  }
  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder p="xl" w="100%" maw={420}>
        <form onSubmit={submit}>
          <Stack>
            <Title order={1} size="h2">
              ioeX vendor console
            </Title>
            <Text c="dimmed" size="sm">
              Ship firmware to your devices and watch it arrive. The token stays in this tab.
            </Text>
            <PasswordInput
              label="Token"
              description="Begins with iox_v_"
              value={token}
              onChange={(event) => setToken(event.currentTarget.value)}
              autoComplete="off"
              required
              data-autofocus
            />
            <Troubles error={asking.error} />
            <Button type="submit" loading={asking.isPending}>
              Sign in
            </Button>
          </Stack>
        </form>
      </Paper>
    </Center>
  )
}
