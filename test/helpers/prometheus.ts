import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { cleanup } from './cleanup.ts'
import { freePort } from './http.ts'
import { temporaryFolder } from './service.ts'
import { until } from './until.ts'

interface Options {
  /** Files of rules. */
  rules?: string[]
  /** Folder that it serves at /user. */
  assets?: string
  flags?: string[]
  /** Ports of other services, by the names of their scrape jobs. */
  others?: Record<string, number>
}

type Labels = Record<string, string>

export interface Alert {
  labels: Labels
  annotations: Labels
}

/** A real Prometheus that scrapes one port every second. */
export class Prometheus {
  readonly #url: string

  private constructor(url: string) {
    this.#url = url
  }

  /** Resolves when it has scraped. */
  static async start(t: TestContext, target: number, options: Options = {}): Promise<Prometheus> {
    const { rules = [], assets, flags = [], others = {} } = options
    const folder = temporaryFolder(t)
    const jobs = Object.entries({ muster: target, ...others })
    const file = join(folder, 'prometheus.yml')
    writeFileSync(
      file,
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: rules,
        scrape_configs: jobs.map(([job_name, ofJob]) => ({
          job_name,
          static_configs: [{ targets: [`127.0.0.1:${ofJob}`] }]
        }))
      })
    )
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const args = [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, `--web.external-url=${url}`, ...flags]
    args.push(
      `--web.listen-address=127.0.0.1:${port}`,
      ...(assets === undefined ? [] : [`--web.user-assets=${assets}`])
    )
    const child = spawn('prometheus', args, { stdio: 'ignore' })
    cleanup(t, async () => {
      child.kill()
      await once(child, 'exit')
    })
    const prometheus = new Prometheus(url)
    await until(async () => (await prometheus.value('up{job="muster"}').catch(() => 0)) === 1, 'it scrapes')
    return prometheus
  }

  /** The alerts that are pending or firing. */
  async alerts(): Promise<Alert[]> {
    const response = await fetch(`${this.#url}/api/v1/alerts`)
    const { data } = (await response.json()) as { data: { alerts: Alert[] } }
    return data.alerts
  }

  /** What an expression is now; NaN when it has no result. */
  async value(expression: string): Promise<number> {
    const response = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`)
    const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } }
    return Number(data.result[0]?.value[1] ?? Number.NaN)
  }

  /** The stored exemplars of a selector, of the last five minutes. */
  async exemplars(selector: string): Promise<{ labels: Labels; value: string }[]> {
    const now = Date.now() / 1000
    const query = new URLSearchParams({ query: selector, start: String(now - 300), end: String(now + 60) })
    const response = await fetch(`${this.#url}/api/v1/query_exemplars?${query}`)
    const { data } = (await response.json()) as { data: { exemplars: { labels: Labels; value: string }[] }[] }
    return data.flatMap(({ exemplars }) => exemplars)
  }

  /** Resolves when it has scraped what is true now. */
  async scraped(): Promise<void> {
    const since = Date.now() / 1000
    await until(
      async () => (await this.value('timestamp(up{job="muster"}) and up{job="muster"} == 1')) > since,
      'the next scrape'
    )
  }
}
