import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createRegistry } from '../../src/http/registry.ts'
import { missing } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/service.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PROMETHEUS = join(ROOT, 'deploy/prometheus')
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const all = (pattern: RegExp, of: string) => [...of.matchAll(pattern)].map(([, found = '']) => found)

const rules = text('deploy/prometheus/rules.yml')
const alerts = all(/- alert: (\w+)/g, rules)
const recorded = all(/- record: (\S+)/g, rules)
/** The expressions of the rules, on the line of their key or, with more indentation, below it. */
const ruleExpressions = all(/^ +expr: (?:\|\n((?: {10}.*\n)+)|.*\n)/gm, rules).filter(Boolean)
ruleExpressions.push(...all(/^ +expr: ([^|\n].*)$/gm, rules))

interface Panel {
  title: string
  targets?: { expr: string }[]
}
const dashboard = JSON.parse(text('deploy/grafana/dashboards/muster.json')) as {
  uid: string
  panels: Panel[]
  annotations: { list: { name: string; expr: string }[] }
  templating: { list: { name: string; definition: string }[] }
}
const shown = [
  ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...dashboard.annotations.list.map(({ expr }) => expr)
]

/** What is neither a function, a keyword, nor in braces, brackets, strings or the labels of an aggregation. */
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

describe('alerts, rules and dashboard', () => {
  test('every alert has an entry in the runbook and says where, and the runbook has no others', () => {
    assert.ok(alerts.length >= 10)
    assert.deepEqual(all(/^## (\w+)$/gm, text('docs/runbook.md')), alerts)
    assert.deepEqual(
      all(/runbook_url: docs\/runbook\.md#(\w+)/g, rules),
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
    const documented = all(/^\| `(\w+)` \|/gm, text('docs/metrics.md'))
    const ofProcess = createRegistry()
      .getMetricsAsArray()
      .map(({ name }) => name)
    const known = new Set([...documented, ...ofProcess, ...recorded, 'up'])
    assert.equal(ruleExpressions.length, alerts.length + recorded.length)
    const asked = [...ruleExpressions, ...shown, ...dashboard.templating.list.map(({ definition }) => definition)]
    const names = new Set(asked.flatMap(metricsOf))
    assert.ok(names.size > 30, [...names].join())
    for (const name of names) assert.ok(known.has(name) || known.has(name.replace(/_(bucket|sum|count)$/, '')), name)
  })

  test('reloads and crashes are marked in the dashboard', () => {
    assert.deepEqual(
      dashboard.annotations.list.map(({ name }) => name),
      ['Reloads', 'Crashes']
    )
  })

  test('what docker-compose.yml and Grafana mount is there', () => {
    const mounts = all(/^ +- (\.\/deploy\/[^:]+):/gm, text('docker-compose.yml'))
    assert.equal(mounts.length, 3)
    for (const path of mounts) assert.ok(existsSync(join(ROOT, path)), path)
    assert.match(text('deploy/grafana/provisioning/datasources/prometheus.yml'), /uid: prometheus\n/)
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

  test('with what the dashboard asks', (t) => {
    const asRules = shown.map((expr, nth) => ({
      record: `of_dashboard_${nth}`,
      expr: expr.replaceAll('$__rate_interval', '5m')
    }))
    const file = join(temporaryFolder(t), 'dashboard.json')
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: asRules }] }))
    assert.match(promtool('check', 'rules', file), new RegExp(`${shown.length} rules found`))
  })
})
