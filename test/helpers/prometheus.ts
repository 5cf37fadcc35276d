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
}

export interface Alert {
  labels: Record<string, string>
  annotations: Record<string, string>
}

/** A real Prometheus that scrapes one port every second. */
export class Prometheus {
  readonly #url: string

  private constructor(url: string) {
    this.#url = url
  }

  /** Resolves when it has scraped. */
  static async start(t: TestContext, target: number, { rules = [], assets }: Options = {}): Promise<Prometheus> {
    const folder = temporaryFolder(t)
    const file = join(folder, 'prometheus.yml')
    writeFileSync(
      file,
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: rules,
        scrape_configs: [{ job_name: 'muster', static_configs: [{ targets: [`127.0.0.1:${target}`] }] }]
      })
    )
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const flags = assets === undefined ? [] : [`--web.user-assets=${assets}`]
    flags.push(`--web.external-url=${url}`, `--web.listen-address=127.0.0.1:${port}`)
    const child = spawn('prometheus', [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, ...flags], {
      stdio: 'ignore'
    })
    cleanup(t, async () => {
      child.kill()
      await once(child, 'exit')
    })
    const prometheus = new Prometheus(url)
    await until(async () => (await prometheus.value('up').catch(() => 0)) === 1, 'it scrapes')
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

  /** Resolves when it has scraped what is true now. */
  async scraped(): Promise<void> {
    const since = Date.now() / 1000
    await until(async () => (await this.value('timestamp(up) and up == 1')) > since, 'the next scrape')
  }
}
