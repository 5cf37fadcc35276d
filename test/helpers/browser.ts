import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { TestContext } from 'node:test'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page
} from 'playwright-core'
import { cleanup } from './cleanup.ts'
import { fileOf } from './programs.ts'
import { until } from './until.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** At 200 % zoom a desktop has half as many CSS pixels. */
const SIZES = {
  phone: { width: 360, height: 740 },
  zoomed: { width: 720, height: 450 },
  desktop: { width: 1440, height: 900 }
}
/** At 200 % zoom a phone has 180 CSS pixels. */
const ZOOMED_PHONE = { 'zoomed phone': { width: 180, height: 370 } }
/** Bounds failures only: on a busy machine a page may take long. */
const PATIENCE_MS = 60_000
/** A page may lay itself out again after its size has changed. */
const LAYOUT_MS = 5000
/** What a browser says of a connection that broke: that is no fault of the page. */
const BROKEN = /^Failed to load resource: net::ERR_/

const FITS = 'document.documentElement.scrollWidth <= innerWidth'
/** The elements that reach beyond the right edge, the outer ones before those in them. */
const TOO_WIDE = `[...document.querySelectorAll('body *')]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 0.5)
  .map((node) => node.tagName + (node.id && '#' + node.id) + ' to ' + Math.round(node.getBoundingClientRect().right))
  .slice(0, 12).join(', ')`

/** @returns what is read of a page; undefined when another page takes its place meanwhile */
async function unlessNavigating<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: Error) => {
    if (/context was destroyed/.test(error.message)) return undefined
    throw error
  })
}

/** A real browser, closed after the test. */
export async function openBrowser(t: TestContext): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  const browser = await chromium.launch({
    executablePath: fileOf('chromium')!,
    args: [...args, '--disable-dev-shm-usage']
  })
  cleanup(t, () => browser.close())
  return browser
}

/** A visitor with cookies of their own, and one tab. */
export class Tab {
  readonly context: BrowserContext
  readonly page: Page
  /** What the console says of errors: those of scripts, and what the page's policy forbids. */
  readonly problems: string[] = []

  private constructor(context: BrowserContext, page: Page) {
    this.context = context
    this.page = page
    page.on('pageerror', (error) => this.problems.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error' && !BROKEN.test(message.text())) this.problems.push(message.text())
    })
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Tab> {
    const context = await browser.newContext({ baseURL: url, viewport: SIZES.desktop, ...options })
    context.setDefaultTimeout(PATIENCE_MS)
    return new Tab(context, await context.newPage())
  }

  /** The text of what a selector finds, without waiting. */
  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).allInnerTexts()).join(' ')
  }

  /** Waits until what a selector finds shows exactly this text, or a text that matches. */
  async shows(selector: string, expected: string | RegExp): Promise<void> {
    let seen = ''
    const isShown = async () => {
      seen = (await unlessNavigating(this.text(selector))) ?? ''
      return typeof expected === 'string' ? seen === expected : expected.test(seen)
    }
    await until(isShown, `${selector}: ${expected}`, PATIENCE_MS).catch((error: Error) => {
      throw new Error(`${error.message}; it shows ${seen}`)
    })
  }

  /** Waits until a selector, or a locator, finds so many elements. */
  async count(elements: string | Locator, count: number): Promise<void> {
    const locator = typeof elements === 'string' ? this.page.locator(elements) : elements
    const isThere = async () => (await unlessNavigating(locator.count())) === count
    await until(isThere, `${count} of ${elements}`, PATIENCE_MS)
  }

  /** Faults that keep people out, light and dark, on a phone, on a desk, and there at 200 % zoom. */
  async faults(sizes: Record<string, { width: number; height: number }> = SIZES): Promise<string[]> {
    const found = new Set<string>()
    await this.page.evaluate(AXE)
    for (const [name, size] of Object.entries(sizes)) {
      await this.page.setViewportSize(size)
      const fits = this.page.waitForFunction(FITS, undefined, { timeout: LAYOUT_MS })
      await fits.catch(async () => found.add(`${name}: too wide: ${await this.page.evaluate(TOO_WIDE)}`))
      for (const colorScheme of ['dark', 'light'] as const) {
        await this.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        const { violations } = (await this.page.evaluate('axe.run()')) as { violations: Violation[] }
        for (const { id, impact, nodes } of violations.filter(({ impact }) => /serious|critical/.test(impact ?? '')))
          found.add(`${id} (${impact}), ${colorScheme}: ${nodes.map((node) => node.html).join(' ')}`)
      }
    }
    await this.page.emulateMedia({ reducedMotion: null })
    return [...found]
  }

  /** Faults on a phone at 200 % zoom, light and dark. Tables may scroll by themselves, the page may not. */
  faultsOnZoomedPhone(): Promise<string[]> {
    return this.faults(ZOOMED_PHONE)
  }
}

interface Violation {
  id: string
  impact: string | null
  nodes: { html: string }[]
}
