import assert from 'node:assert/strict'
import type { Browser, Locator, Page } from 'playwright-core'
import { TOKENS } from './admin.ts'
import { Tab } from './browser.ts'
import type { Service } from './service.ts'

/** The console of a service, signed in, in a tab of its own. */
export class ConsolePage {
  readonly tab: Tab
  readonly page: Page

  private constructor(tab: Tab) {
    this.tab = tab
    this.page = tab.page
  }

  /** Opens the console and types a token. Does not wait for the answer. */
  static async enter(
    browser: Browser,
    { url }: Pick<Service, 'url'>,
    token = TOKENS.ADMIN_TOKEN
  ): Promise<ConsolePage> {
    const tab = await Tab.open(browser, url)
    await tab.page.goto('/admin')
    await tab.page.getByLabel('Admin token').fill(token)
    await tab.page.keyboard.press('Enter')
    return new ConsolePage(tab)
  }

  /** Opens the console and waits until it is live. */
  static async open(browser: Browser, service: Pick<Service, 'url'>, token?: string): Promise<ConsolePage> {
    const opened = await ConsolePage.enter(browser, service, token)
    await opened.live()
    return opened
  }

  async live(): Promise<void> {
    await this.page.locator('#connection[data-state=live]').waitFor()
  }

  press(name: string): Promise<void> {
    return this.page.getByRole('button', { name, exact: true }).click()
  }

  /** Presses a button of the question that is open. */
  async answer(question: string | RegExp, button: string): Promise<void> {
    const dialog = this.page.getByRole('dialog', { name: question })
    await dialog.waitFor()
    await dialog.getByRole('button', { name: button, exact: true }).click()
  }

  /** Waits for the result of a command that was done. */
  async result(text: string | RegExp): Promise<void> {
    await this.page.locator('#results .done', { hasText: text }).first().waitFor()
  }

  /** Waits until a selector, or a locator, finds so many elements. */
  count(elements: string | Locator, count: number): Promise<void> {
    return this.tab.count(elements, count)
  }

  /** Waits until there are so many workers, all ready. */
  async workers(count: number): Promise<void> {
    await this.count('#list > li[data-status=ready]', count)
    await this.count('#list > li', count)
  }

  /** A line of the journal. */
  line(text: string | RegExp): Locator {
    return this.page.locator('#journal > li', { hasText: text }).first()
  }

  async healthIs(line: RegExp): Promise<void> {
    await this.page.locator('#health-line', { hasText: line }).waitFor()
  }

  /** @param allowed what the console of the browser may have said, such as refusals that the test provoked */
  async isClean(allowed = /^$/): Promise<void> {
    assert.deepEqual(
      this.tab.problems.splice(0).filter((problem) => !allowed.test(problem)),
      []
    )
  }
}
