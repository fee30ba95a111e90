import '@mantine/core/styles.css'
import './look/tokens.css'
import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { endSession, loadSession, type Session, SessionContext, saveSession } from './api/index.ts'
import { theme } from './look/theme.ts'
import { router } from './routes.tsx'
import { SignIn } from './screens/sign-in/sign-in.tsx'

const queries = new QueryClient({ defaultOptions: { queries: { retry: 1, staleTime: 1_000 } } })

function Console() {
  const [session, setSession] = useState<Session | undefined>(loadSession)
  if (session === undefined) {
    return (
      <SignIn
        signedIn={(next) => {
          saveSession(next)
          setSession(next)
        }}
      />
    )
  }
  const signOut = () => {
    endSession()
    queries.clear()
    setSession(undefined)
  }
  return (
    <SessionContext value={session}>
      <RouterProvider router={router} context={{ signOut }} />
    </SessionContext>
  )
}

const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no element with the id root')
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <QueryClientProvider client={queries}>
        <Console />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)
