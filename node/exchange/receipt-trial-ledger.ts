import assert from 'node:assert/strict'
import type { Hex } from '../base/index.ts'
import type { DeviceBook, ServerBook, SignedReceipt } from '../receipts/index.ts'
import { LOST_WINDOW_FORGOTTEN_MS } from './limits.ts'
import { windowBytes } from './meter.ts'

/** What one server did under one grant. */
interface Account {
  sent: number
  /** Verified and durable at the device. */
  durable: number
  acknowledged: number
  receipted: number
  /** What was not receipted when the last incident came: it may never be. */
  written: number
  crashes: number
  readonly beganMs: number
}

/** What really happened; every method throws an AssertionError when that breaks a promise. */
export function createLedger(nowMs: () => number) {
  const accounts = new Map<string, Account>()
  /** What a device signed under one grant: the receipt by its total. */
  const signatures = new Map<Hex, { highest: bigint; readonly byTotal: Map<bigint, string> }>()
  let blocks = 0
  let receipts = 0
  let blocked = 0
  let widestWindow = 0

  const of = (grant: Hex, server: string): Account => {
    const name = `${grant} ${server}`
    const found = accounts.get(name) ?? {
      sent: 0,
      durable: 0,
      acknowledged: 0,
      receipted: 0,
      written: 0,
      crashes: 0,
      beganMs: nowMs(),
    }
    accounts.set(name, found)
    return found
  }
  const ofServer = (server: string) =>
    [...accounts].filter(([name]) => name.endsWith(server)).map(([, account]) => account)
  const ofGrant = (grant: Hex) =>
    [...accounts].filter(([name]) => name.startsWith(grant)).map(([, account]) => account)
  const sum = (all: readonly Account[], what: (one: Account) => number) =>
    all.reduce((total, one) => total + what(one), 0)
  const strike = (account: Account) => {
    account.written = account.sent - account.receipted
    const window = windowBytes(account.receipted)
    // One at stake and one written off before: that comes back with time, and a crash forgets both.
    const elapsedMs = nowMs() - account.beganMs
    const windows = 2 * (1 + account.crashes) + elapsedMs / LOST_WINDOW_FORGOTTEN_MS
    assert.ok(
      account.written <= windows * window,
      `${account.written} bytes are lost in ${windows} windows of ${window}`,
    )
  }

  return {
    sent(grant: Hex, server: string, bytes: number, receipted: number) {
      const account = of(grant, server)
      account.receipted = receipted
      account.written = Math.min(account.written, account.sent - receipted)
      account.sent += bytes
      blocks++
      const window = windowBytes(receipted)
      widestWindow = Math.max(widestWindow, window)
      const owed = account.sent - receipted - account.written
      assert.ok(owed <= Math.max(window, bytes), `${owed} bytes are at stake, window ${window}`)
    },
    durable(grant: Hex, server: string, bytes: number) {
      of(grant, server).durable += bytes
    },
    /** Handed out by the book, so it may leave the device at any time. */
    signed({ message }: SignedReceipt) {
      const { grantId, server, serverBytes, grantBytes } = message
      const known = signatures.get(grantId) ?? { highest: 0n, byTotal: new Map<bigint, string>() }
      signatures.set(grantId, known)
      assert.ok(grantBytes > known.highest, `signed ${grantBytes} after ${known.highest}`)
      known.highest = grantBytes
      known.byTotal.set(grantBytes, `${server} ${serverBytes}`)
      receipts++
      assert.ok(Number(serverBytes) <= of(grantId, server).durable, 'signed what is not durable')
      const durable = sum(ofGrant(grantId), (one) => one.durable)
      assert.ok(Number(grantBytes) <= durable, 'signed more than is durable over all servers')
    },
    /** On its way to the server, maybe once more. */
    sentReceipt({ message }: SignedReceipt) {
      const { grantId, server, serverBytes, grantBytes } = message
      const known = signatures.get(grantId)?.byTotal
      const before = known?.get(grantBytes)
      // A crash came between its record and its return: it is signed for the first time by asking again.
      if (before === undefined) known?.set(grantBytes, `${server} ${serverBytes}`)
      else assert.equal(`${server} ${serverBytes}`, before, 'two receipts with one grantBytes')
      assert.ok(Number(serverBytes) <= of(grantId, server).durable, 'sent what is not durable')
    },
    acknowledged(grant: Hex, server: string, bytes: bigint) {
      const account = of(grant, server)
      account.acknowledged = Math.max(account.acknowledged, Number(bytes))
      account.receipted = Math.max(account.receipted, Number(bytes))
    },
    deviceStarted(grant: Hex, book: DeviceBook) {
      const signed = signatures.get(grant)?.highest ?? 0n
      assert.ok(book.grantBytes(grant) >= signed, 'the device forgot what it signed')
      assert.deepEqual(book.damages(), [])
    },
    serverStarted(server: string, book: ServerBook) {
      assert.deepEqual(book.damages(), [])
      for (const [name, account] of accounts) {
        if (!name.endsWith(server)) continue
        const kept = book.receiptedBytes(name.split(' ')[0] as Hex)
        assert.ok(Number(kept) >= account.acknowledged, 'an acknowledged receipt is gone')
        account.receipted = Number(kept)
      }
    },
    serverCrashed(server: string) {
      for (const account of ofServer(server)) {
        account.crashes++
        strike(account)
      }
    },
    streamEnded(grant: Hex, server: string) {
      strike(of(grant, server))
    },
    blocked() {
      blocked++
    },
    report() {
      const all = [...accounts.values()]
      return {
        blocks,
        receipts,
        receiptedBytes: sum(all, (one) => one.receipted),
        lostBytes: sum(all, (one) => one.sent - one.receipted),
        blocked,
        widestWindow,
      }
    },
    /** Over all servers, never more than the grant has. */
    within(maxBytes: number) {
      for (const id of signatures.keys()) {
        assert.ok(sum(ofGrant(id), (one) => one.receipted) <= maxBytes, 'paid beyond the grant')
        assert.ok((signatures.get(id)?.highest ?? 0n) <= BigInt(maxBytes))
      }
    },
  }
}
