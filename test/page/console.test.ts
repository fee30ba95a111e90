import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium, type Page } from 'playwright-core'

const repository = join(import.meta.dirname, '../..')
const artefacts = join(repository, 'test/artefacts')
const CHROMIUM = process.env.IOEX_CHROMIUM ?? '/usr/bin/chromium'
/** Nothing but the page under test may go out: a browser's own services would hang in a closed network. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

interface Endpoints {
  readonly gateway: string
  readonly vendor: { readonly vendor: string; readonly token: string }
}

describe('the vendor console in a real browser', () => {
  let folder = ''
  let endpoints: Endpoints
  let stopNetwork: () => Promise<void> = () => Promise.resolve()
  let browser: Browser
  let page: Page
  const complaints: string[] = []
  const foreign: string[] = []

  before(async () => {
    assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is missing: apt-get install chromium`)
    folder = await mkdtemp(join(tmpdir(), 'ioex-page-'))
    await mkdir(artefacts, { recursive: true })
    const child = spawn(
      process.execPath,
      [join(repository, 'gateway/localnet/start.ts'), '--data', join(folder, 'net'), '--json'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    stopNetwork = async () => {
      child.kill('SIGTERM')
      await ended
    }
    endpoints = await new Promise<Endpoints>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', (line) =>
        resolve(JSON.parse(line) as Endpoints),
      )
      void ended.then(() => reject(new Error('the network did not start')))
    })
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
    const context = await browser.newContext({ viewport: { width: 1200, height: 900 } })
    page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('request', (request) => {
      if (!request.url().startsWith(endpoints.gateway) && !request.url().startsWith('data:')) {
        foreign.push(request.url())
      }
    })
  })
  after(async () => {
    await browser?.close()
    await stopNetwork()
    await rm(folder, { recursive: true, force: true })
  })

  test('refuses a wrong token with what to do', async () => {
    await page.goto(endpoints.gateway)
    await page.locator('input[type=password]').fill('iox_v_nobody')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    await page.screenshot({ path: join(artefacts, 'console-refused.png') })
    // The browser itself notes the refused call; that is no fault of the page.
    complaints.length = 0
  })

  test('signs in, publishes by keyboard and pointer, and reaches 100 %', async () => {
    await page.locator('input[type=password]').fill(endpoints.vendor.token)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Releases' }).waitFor()
    await page.getByText('This gateway keeps your signing keys, encrypted').waitFor()
    await page.screenshot({ path: join(artefacts, 'console-empty.png') })

    const image = join(folder, 'firmware.bin')
    await writeFile(image, randomBytes(8 * 1024 * 1024))
    await page.getByRole('button', { name: 'Publish firmware' }).focus()
    await page.keyboard.press('Enter')
    await page.locator('input[type=file]').setInputFiles(image)
    await page.getByLabel('Model').fill('page-box')
    await page.getByLabel('Version').fill('1.0.0')
    await page.screenshot({ path: join(artefacts, 'console-publish.png') })
    const percents: number[] = []
    await page.exposeFunction('sawPercent', (percent: number) => percents.push(percent))
    await page.evaluate(() => {
      const look = () => {
        const bar = document.querySelector('[aria-valuenow], [role=progressbar]')
        const text = /(\d+) %/.exec(document.body.innerText)?.[1]
        const value = bar?.getAttribute('aria-valuenow') ?? text
        const tell = (globalThis as unknown as { sawPercent(percent: number): void }).sawPercent
        if (value !== undefined && value !== null) tell(Number(value))
      }
      new MutationObserver(look).observe(document.body, {
        subtree: true,
        childList: true,
        attributes: true,
        characterData: true,
      })
    })
    await page.getByRole('button', { name: 'Publish', exact: true }).focus()
    await page.keyboard.press('Enter')
    const show = page.getByRole('button', { name: 'Show the release' })
    await show.waitFor({ timeout: 120_000 })
    await page.screenshot({ path: join(artefacts, 'console-published.png') })
    assert.equal(percents.at(-1), 100)
    assert.deepEqual(
      percents,
      [...percents].sort((a, b) => a - b),
      'progress never goes back',
    )
    await show.click()
    await page.getByRole('heading', { name: 'page-box 1.0.0' }).waitFor()
    await page.getByTestId('address').nth(2).waitFor()
    assert.equal(await page.getByTestId('address').count(), 3)
  })

  test('shows a device becoming one that runs the release, without a reload', async () => {
    await page.getByRole('link', { name: 'Devices' }).click()
    await page.getByLabel('Model').fill('page-box')
    await page.getByRole('button', { name: 'Make a code' }).click()
    const command = await page.getByText('npx ioex device enroll').innerText()
    const code = /--code (\S+)/.exec(command)?.[1] ?? ''
    const home = join(folder, 'device')
    await ioex(['device', 'enroll', '--home', home, '--gateway', endpoints.gateway, '--code', code])
    await page.getByRole('link', { name: 'Releases' }).click()
    await page.getByRole('link', { name: '1.0.0' }).click()
    const updated = ioex([
      'device',
      'run',
      '--once',
      '--home',
      home,
      '--slot-dir',
      join(folder, 'slots'),
    ])
    await page.locator('[data-testid=device][data-state=confirmed]').waitFor({ timeout: 60_000 })
    await updated
    await page.getByText('1 of 1 devices run it').waitFor()
    await page.screenshot({ path: join(artefacts, 'console-release.png'), fullPage: true })
  })

  for (const scheme of ['light', 'dark'] as const) {
    test(`has no accessibility fault that axe finds, ${scheme}, and fits 320 pixels`, async () => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
      for (const name of ['Releases', 'Devices', 'Billing', 'Network']) {
        await page.getByRole('link', { name, exact: true }).click()
        await page.getByRole('heading', { name, exact: true }).waitFor()
        await page.screenshot({
          path: join(artefacts, `console-${name.toLowerCase()}-${scheme}.png`),
        })
        const { violations } = await new AxeBuilder({ page }).analyze()
        assert.deepEqual(
          violations.map(
            (violation) => `${name}: ${violation.id} ${violation.nodes[0]?.html ?? ''}`,
          ),
          [],
        )
      }
      await page.setViewportSize({ width: 320, height: 800 })
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - window.innerWidth,
      )
      await page.screenshot({ path: join(artefacts, `console-narrow-${scheme}.png`) })
      await page.setViewportSize({ width: 1200, height: 900 })
      assert.ok(overflow <= 0, `the page is ${overflow} pixels wider than the window`)
    })
  }

  test('tells a vendor with own keys how to publish, and when signatures have to be renewed', async () => {
    const path = `**/v1/vendors/${endpoints.vendor.vendor}`
    await page.route(path, async (route) => {
      const answer = await route.fetch()
      const renewBy = new Date(Date.now() + 5 * 86_400_000).toISOString()
      const vendor = { ...((await answer.json()) as object), custody: 'own', renewBy }
      await route.fulfill({ response: answer, json: vendor })
    })
    await page.goto(`${endpoints.gateway}/releases`)
    await page.getByRole('alert').getByText('ioex vendor keys renew').waitFor()
    await page.getByText('cannot publish in your name').waitFor()
    await page.screenshot({ path: join(artefacts, 'console-own-keys.png') })
    const { violations } = await new AxeBuilder({ page }).analyze()
    assert.deepEqual(
      violations.map(({ id }) => id),
      [],
    )
    await page.getByRole('button', { name: 'Publish firmware' }).click()
    await page.getByText('ioex firmware publish FILE').waitFor()
    await page.unroute(path)
  })

  test('logged no error and asked no other host', () => {
    assert.deepEqual(complaints, [])
    assert.deepEqual(foreign, [])
  })
})

/** Runs a command of the product to its end; rejects with what it said when it fails. */
function ioex(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [join(repository, 'node/cli/ioex.ts'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (part: Buffer) => (said = (said + part.toString()).slice(-4_000)))
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`ioex ${args.slice(0, 2).join(' ')} ended with ${code}: ${said}`))
    })
  })
}
