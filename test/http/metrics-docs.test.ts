import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { pino } from 'pino'
import { readRegistry } from '../../src/http/plugins/metrics/metric-registry.ts'
import { workersMissing } from '../../src/http/plugins/metrics/metrics-page.ts'
import type { Family } from '../../src/ipc/series.ts'
import { InternalErrors } from '../../src/primary/internal-errors.ts'
import { PrimaryMetrics } from '../../src/primary/metrics/primary-metrics.ts'
import { scalingFamilies } from '../../src/primary/metrics/scaling-metrics.ts'
import { initialState } from '../../src/primary/policy/types.ts'
import { quarantineFamilies } from '../../src/primary/quarantine/quarantine-metrics.ts'
import type { Supervisor } from '../../src/primary/workers/supervisor.ts'
import { startApp } from '../helpers/app.ts'

const PAGE = new URL('../../../docs/reference/metrics.md', import.meta.url)
const BEGIN = '<!-- the tables are generated: UPDATE=1 node scripts/test.mjs metrics-docs -->\n'
/** Metrics of prom-client, which its documentation describes. */
const OF_PROCESS = /^(process|nodejs)_/

function primaryFamilies(): Family[] {
  const heartbeat = {
    inFlight: 0,
    connections: 0,
    requests: 0,
    loopDelayMs: 0,
    utilization: 0,
    rssBytes: 0,
    heapBytes: 0
  }
  const process = { id: 1, slot: 0, pid: 1, heartbeat, heartbeatAt: 0 }
  const worker = { ...process, generation: 1, status: 'ready' }
  const state = { ...initialState(1), workers: [worker] }
  const supervisor = {
    state,
    router: { rerouted: 0, lost: 0 },
    pool: { live: () => [process] },
    view: () => ({ state: 'running' })
  }
  const scaling = { load: 0, decisions: { up: 0, down: 0 }, limit: undefined, range: undefined }
  return [
    ...new PrimaryMetrics('1.2.3', new InternalErrors(pino({ level: 'silent' }))).read(
      supervisor as unknown as Supervisor,
      new Set([1])
    ),
    ...scalingFamilies(scaling, 1),
    ...quarantineFamilies({ list: () => [], total: 0 })
  ]
}

const labelsOf = (family: Family) =>
  [...new Set(family.series.flatMap(([labels]) => [...labels.matchAll(/(\w+)="/g)].map((match) => match[1]!)))].sort()

function table(families: Family[], labels: (family: Family) => readonly string[]): string {
  const rows = families
    .filter(({ name }) => !OF_PROCESS.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((family) => {
      const names = labels(family).map((label) => `\`${label}\``)
      return `| \`${family.name}\` | ${family.type} | ${names.join(', ')} | ${family.help} |\n`
    })
  return `| name | type | labels | what it is |\n|---|---|---|---|\n${rows.join('')}`
}

test('docs/reference/metrics.md lists every metric with its type, labels and help', async (t) => {
  const { app } = await startApp(t)
  const { counters, others } = await readRegistry(app.metrics)
  const ofWorkers = table([...counters, ...others], ({ name }) => {
    const { labelNames = [] } = app.metrics.getSingleMetric(name) as unknown as { labelNames?: string[] }
    return labelNames
  })
  const text = `### Of each worker\n\n${ofWorkers}\n### Of the primary\n\n${table([...primaryFamilies(), workersMissing(0)], labelsOf)}`
  const page = readFileSync(PAGE, 'utf8')
  const [before = '', after] = page.split(BEGIN)
  if (process.env.UPDATE) writeFileSync(PAGE, `${before}${BEGIN}\n${text}`)
  else assert.equal(after, `\n${text}`)
})
