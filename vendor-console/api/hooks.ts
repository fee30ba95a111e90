import { useQuery, useQueryClient } from '@tanstack/react-query'
import { createContext, useContext, useEffect, useMemo, useState } from 'react'
import type { ReleaseProgress } from '../../gateway/client.ts'
import { followState } from './events.ts'
import { createGateway, type Gateway } from './gateway.ts'
import type { Session } from './session.ts'

/** Data that is older than this is asked for again; events ask earlier. */
const REFRESH_MS = 5_000

export const SessionContext = createContext<Session | undefined>(undefined)

export function useSession(): Session {
  const session = useContext(SessionContext)
  if (session === undefined) throw new Error('this screen is for signed-in vendors')
  return session
}

export function useGateway(): Gateway {
  const { token, vendor } = useSession()
  return useMemo(() => createGateway(token, vendor), [token, vendor])
}

export function useVendor() {
  const gateway = useGateway()
  return useQuery({ queryKey: ['vendor'], queryFn: () => gateway.vendor() })
}

export function useReleases() {
  const gateway = useGateway()
  return useQuery({
    queryKey: ['releases'],
    queryFn: () => gateway.releases(),
    refetchInterval: REFRESH_MS,
  })
}

export function useRelease(id: string) {
  const gateway = useGateway()
  return useQuery({ queryKey: ['release', id], queryFn: () => gateway.release(id) })
}

export function useAddresses(id: string) {
  const gateway = useGateway()
  return useQuery({ queryKey: ['addresses', id], queryFn: () => gateway.addresses(id) })
}

export function useDevices() {
  const gateway = useGateway()
  return useQuery({
    queryKey: ['devices'],
    queryFn: () => gateway.devices(),
    refetchInterval: REFRESH_MS,
  })
}

export function useBilling() {
  const gateway = useGateway()
  return useQuery({
    queryKey: ['billing'],
    queryFn: () => gateway.billing(),
    refetchInterval: REFRESH_MS,
  })
}

export function useNetwork() {
  const gateway = useGateway()
  return useQuery({
    queryKey: ['network'],
    queryFn: () => gateway.network(),
    refetchInterval: REFRESH_MS,
  })
}

/** Counts and states of a release as they change; undefined until the first word. */
export function useReleaseProgress(id: string): ReleaseProgress | undefined {
  const { token } = useSession()
  const queries = useQueryClient()
  const [progress, setProgress] = useState<ReleaseProgress>()
  useEffect(() => {
    const leaving = new AbortController()
    followState<ReleaseProgress>(
      `/v1/releases/${id}/events`,
      token,
      leaving.signal,
      (state) => {
        setProgress(state)
        void queries.invalidateQueries({ queryKey: ['devices'] })
        void queries.invalidateQueries({ queryKey: ['release', id] })
      },
      () => false,
    ).catch((thrown: unknown) => {
      // Refused: the queries of the same screen show why.
      if (!leaving.signal.aborted) queries.setQueryData(['events-refused', id], String(thrown))
    })
    return () => leaving.abort()
  }, [id, token, queries])
  return progress
}
