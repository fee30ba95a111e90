import {
  ActionIcon,
  Anchor,
  AppShell,
  Button,
  Group,
  Text,
  useMantineColorScheme,
} from '@mantine/core'
import { Link, Outlet, useRouteContext } from '@tanstack/react-router'
import { useSession } from '../api/index.ts'
import { short } from '../parts/index.ts'

const PAGES = [
  { to: '/releases', label: 'Releases' },
  { to: '/devices', label: 'Devices' },
  { to: '/billing', label: 'Billing' },
  { to: '/network', label: 'Network' },
] as const

/** The frame around every screen: who is signed in, where one is, light and dark. */
export function Shell() {
  const { vendor } = useSession()
  const { signOut } = useRouteContext({ from: '__root__' })
  const { colorScheme, toggleColorScheme } = useMantineColorScheme()
  return (
    <AppShell header={{ height: { base: 96, sm: 56 } }} padding="md">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" gap="xs">
          <Group gap="lg" component="nav" aria-label="Pages">
            <Text fw={700}>ioeX</Text>
            {PAGES.map(({ to, label }) => (
              <Anchor
                key={to}
                component={Link}
                to={to}
                activeProps={{ 'aria-current': 'page', style: { fontWeight: 700 } }}
              >
                {label}
              </Anchor>
            ))}
          </Group>
          <Group gap="xs">
            <Text size="sm" c="dimmed" className="mono" title={vendor} visibleFrom="sm">
              {short(vendor)}
            </Text>
            <ActionIcon
              variant="default"
              size="lg"
              onClick={toggleColorScheme}
              aria-label={colorScheme === 'dark' ? 'Use light colours' : 'Use dark colours'}
            >
              {colorScheme === 'dark' ? '☀' : '☾'}
            </ActionIcon>
            <Button variant="default" size="xs" onClick={signOut}>
              Sign out
            </Button>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Main id="content" maw="var(--page-max)" mx="auto">
        <Outlet />
      </AppShell.Main>
    </AppShell>
  )
}
