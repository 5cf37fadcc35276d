import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { createRegistry } from '../../src/http/plugins/metrics/metric-registry.ts'
import { missing } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/service.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PROMETHEUS = join(ROOT, 'deploy/prometheus')
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const all = (pattern: RegExp, of: string) => [...of.matchAll(pattern)].map(([, found = '']) => found)

const rules = text('deploy/prometheus/rules.yml')
const alerts = all(/- alert: (\w+)/g, rules)
const recorded = all(/- record: (\S+)/g, rules)
const ruleExpressions = (parse(rules) as { groups: { rules: { expr: string }[] }[] }).groups.flatMap((group) =>
  group.rules.map(({ expr }) => expr)
)

interface Panel {
  title: string
  type: string
  datasource?: { uid: string }
  targets?: { expr: string; datasource: { uid: string } }[]
}
interface Dashboard {
  uid: string
  panels: Panel[]
  links: { url: string }[]
  annotations: { list: { name: string; target: { expr: string }; datasource: { uid: string } }[] }
  templating: { list: { name: string; type: string; query: string | { query: string } }[] }
}
const dashboardOf = (name: string) => JSON.parse(text(`deploy/grafana/dashboards/${name}.json`)) as Dashboard
const DASHBOARDS = { muster: dashboardOf('muster'), 'muster-hosts': dashboardOf('muster-hosts') }
const dashboards = Object.values(DASHBOARDS)
const shown = dashboards.flatMap(({ panels, annotations }) => [
  ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...annotations.list.map(({ target }) => target.expr)
])

interface RuleTests {
  tests: {
    input_series: { series: string }[]
    alert_rule_test?: { exp_alerts: unknown[] }[]
    promql_expr_test?: { exp_samples: unknown[] }[]
  }[]
}

/** The text that is neither a function nor a keyword, nor in braces, brackets, strings or the labels of an aggregation. */
function metricsOf(expression: string): string[] {
  const bare = expression
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without|on|ignoring|label_values)\s*\(([^()]*)\)/g, (_, word, inner) =>
      word === 'label_values' ? inner.split(',')[0] : ' '
    )
  return all(/(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])/g, bare).filter(
    (word) => !['and', 'or', 'unless', 'by', 'bool'].includes(word)
  )
}

/** An alert tells of these, the other dashboard shows them, or they say the same as a metric that is shown. */
const NOT_SHOWN = [
  'cluster_accept_pauses_total',
  'tls_certificate_expiry_timestamp_seconds',
  'cluster_build_info',
  'cluster_primary_errors_total',
  'cluster_worker_info',
  'cluster_worker_up'
]

describe('alerts, rules and dashboards', () => {
  test('every alert has an entry in the runbook and says where, and the runbook has no others', () => {
    assert.ok(alerts.length >= 10)
    assert.deepEqual(all(/^## (\w+)$/gm, text('docs/how-to/runbook.md')), alerts)
    assert.deepEqual(
      all(/runbook_url: "\{\{ \$externalURL \}\}\/user\/runbook\.md#(\w+)"/g, rules),
      alerts.map((name) => name.toLowerCase())
    )
    for (const part of ['summary', 'description', 'severity']) {
      assert.equal(all(new RegExp(`(${part}): `, 'g'), rules).length, alerts.length, part)
    }
  })

  test('every alert is tested firing', () => {
    const fired = all(/alertname="(\w+)", alertstate="firing"/g, text('deploy/prometheus/rules.test.yml'))
    assert.deepEqual([...new Set(fired)].sort(), [...alerts].sort())
  })

  test('every metric they ask for is one that there is', () => {
    const documented = all(/^\| `(\w+)` \|/gm, text('docs/reference/metrics.md'))
    const ofProcess = createRegistry()
      .getMetricsAsArray()
      .map(({ name }) => name)
    const known = new Set([...documented, ...ofProcess, ...recorded, 'up'])
    assert.equal(ruleExpressions.length, alerts.length + recorded.length)
    const definitions = dashboards.flatMap(({ templating }) =>
      templating.list.flatMap(({ query }) => (typeof query === 'string' ? [] : query.query))
    )
    const asked = [...ruleExpressions, ...shown, ...definitions]
    const names = new Set(asked.flatMap(metricsOf))
    assert.ok(names.size > 30, [...names].join())
    for (const name of names) assert.ok(known.has(name) || known.has(name.replace(/_(bucket|sum|count)$/, '')), name)
  })

  test('every rule and every query of the dashboards selects the job', () => {
    const ofJob = (expression: string, selector: string) => {
      for (const name of metricsOf(expression).filter((metric) => !recorded.includes(metric))) {
        const uses = all(new RegExp(`\\b${name}\\b((?:\\{[^}]*\\})?)`, 'g'), expression)
        for (const labels of uses) assert.ok(labels.includes(selector), `${name}${labels} in ${expression}`)
      }
    }
    for (const expression of ruleExpressions) ofJob(expression, 'job="muster"')
    for (const name of recorded) assert.match(name, /^muster:/)
    for (const expression of shown) {
      const selectors = all(/(\{[^}]*\})/g, expression)
      assert.ok(selectors.length > 0, expression)
      for (const selector of selectors) assert.ok(selector.includes('job="$job"'), expression)
      ofJob(expression, 'job="$job"')
    }
  })

  test('the dashboards ask the data source, the job and the hosts that are chosen in them', () => {
    const common = ['datasource: datasource', 'job: query', 'host: query']
    const variables = { muster: [...common, 'worker: query'], 'muster-hosts': common }
    for (const [uid, { templating, panels: all, annotations, ...dashboard }] of Object.entries(DASHBOARDS)) {
      assert.equal(dashboard.uid, uid)
      const chosen = templating.list.map(({ name, type }) => `${name}: ${type}`)
      assert.deepEqual(chosen, variables[uid as keyof typeof variables])
      assert.equal(templating.list[0]?.query, 'prometheus')
      const panels = all.filter(({ type }) => type !== 'row')
      assert.ok(panels.length > 20)
      const asking = [...annotations.list, ...panels, ...panels.flatMap(({ targets = [] }) => targets)]
      for (const { datasource } of asking) assert.match(datasource?.uid ?? '', /^\$\{datasource\}$/)
      const own = new RegExp(`"uid": "(?!${uid}"|\\$\\{datasource\\}")`)
      assert.doesNotMatch(text(`deploy/grafana/dashboards/${uid}.json`), own)
    }
    for (const expression of shown) assert.match(expression, /instance=~"\$host"/)
  })

  test('each dashboard links to the other one, with the same data source and job', () => {
    for (const [uid, { links }] of Object.entries(DASHBOARDS)) {
      const [other] = Object.keys(DASHBOARDS).filter((name) => name !== uid)
      assert.deepEqual(
        links.map(({ url }) => url),
        [`/d/${other}?var-datasource=\${datasource}&var-job=\${job}`]
      )
    }
  })

  test('the dashboard of a service shows every metric of muster, except a few', () => {
    const documented = all(/^\| `(\w+)` \|/gm, text('docs/reference/metrics.md'))
    const expressions = DASHBOARDS.muster.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join()
    const unseen = documented.filter((name) => !expressions.includes(name))
    assert.deepEqual([...new Set(unseen)], NOT_SHOWN)
  })

  test('reloads and crashes are marked in the dashboards', () => {
    for (const { annotations } of dashboards) {
      assert.deepEqual(
        annotations.list.map(({ name }) => name),
        ['Reloads', 'Crashes']
      )
    }
  })

  test('what docker-compose.yml and Grafana mount is there', () => {
    const mounts = all(/^ +- (\.\/(?:deploy|docs)\/[^:]+):/gm, text('docker-compose.yml'))
    assert.equal(mounts.length, 4)
    for (const path of mounts) assert.ok(existsSync(join(ROOT, path)), path)
    assert.doesNotMatch(text('deploy/grafana/provisioning/datasources/prometheus.yml'), /uid:/)
    const [assets = ''] = all(/--web\.user-assets=(\S+)/g, text('docker-compose.yml'))
    assert.ok(text('docker-compose.yml').includes(`./docs/how-to/runbook.md:${assets}/runbook.md:ro`))
    const [folder = ''] = all(/path: (\S+)/g, text('deploy/grafana/provisioning/dashboards/muster.yml'))
    assert.ok(text('docker-compose.yml').includes(`./deploy/grafana/dashboards:${folder}:ro`))
  })
})

describe('promtool finds no fault', { skip: missing('promtool') }, () => {
  const promtool = (...args: string[]) =>
    execFileSync('promtool', args, { cwd: PROMETHEUS, encoding: 'utf8', stdio: 'pipe' })

  test('with the configuration, as it is and with a token', (t) => {
    assert.match(promtool('check', 'config', 'prometheus.yml'), /SUCCESS/)
    const folder = temporaryFolder(t)
    cpSync(PROMETHEUS, folder, { recursive: true })
    const config = text('deploy/prometheus/prometheus.yml').replace(/# (authorization:| {2}credentials_file:)/g, '$1')
    assert.match(config, /\n {4}authorization:\n {6}credentials_file: metrics-token\n/)
    writeFileSync(join(folder, 'prometheus.yml'), config)
    writeFileSync(join(folder, 'metrics-token'), 'x')
    assert.match(promtool('check', 'config', join(folder, 'prometheus.yml')), /SUCCESS/)
  })

  test('with the rules: each alert fires when it must, and at no other time', () => {
    assert.match(promtool('check', 'rules', 'rules.yml'), new RegExp(`${alerts.length + recorded.length} rules found`))
    assert.match(promtool('test', 'rules', 'rules.test.yml'), /SUCCESS/)
  })

  test('with the rules: no alert fires when all that makes them fire is of another job', (t) => {
    const folder = temporaryFolder(t)
    cpSync(PROMETHEUS, folder, { recursive: true })
    const foreign = parse(text('deploy/prometheus/rules.test.yml')) as RuleTests
    for (const { input_series, alert_rule_test = [], promql_expr_test = [] } of foreign.tests) {
      for (const input of input_series) input.series = input.series.replace('job="muster"', 'job="billing-api"')
      for (const expected of alert_rule_test) expected.exp_alerts = []
      for (const expected of promql_expr_test) expected.exp_samples = []
    }
    writeFileSync(join(folder, 'rules.test.yml'), stringify(foreign))
    assert.match(promtool('test', 'rules', join(folder, 'rules.test.yml')), /SUCCESS/)
  })

  test('with what the dashboards ask', (t) => {
    const asRules = shown.map((expr, nth) => ({
      record: `of_dashboard_${nth}`,
      expr: expr.replaceAll('$__rate_interval', '5m')
    }))
    const file = join(temporaryFolder(t), 'dashboard.json')
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: asRules }] }))
    assert.match(promtool('check', 'rules', file), new RegExp(`${shown.length} rules found`))
  })
})
