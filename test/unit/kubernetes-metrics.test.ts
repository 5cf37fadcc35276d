import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { ROOT, readPage } from '../helpers/documents.ts'
import { build, type Manifest } from '../helpers/kustomize.ts'
import { containerOf, find, SECRET } from '../helpers/pods.ts'
import { missing } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/service.ts'

const FOLDER = join(ROOT, 'deploy/kubernetes')
const text = (path: string) => readFileSync(join(FOLDER, path), 'utf8')
const production = build(join(FOLDER, 'overlays/production'))
const hpa = find(production, 'HorizontalPodAutoscaler').spec
const [{ spec: keda }] = build(join(FOLDER, 'components/keda')) as [Manifest]
const adapter = parse(text('components/hpa/prometheus-adapter-values.yaml'))
const documented = [...readPage('docs/reference/metrics.md').matchAll(/^\| `(\w+)` \| (\w+) \| `slot` \|/gm)]
const gauges = documented.filter(([, , type]) => type === 'gauge').map(([, name]) => name)
const METRIC = 'cluster_worker_event_loop_utilization_ratio'

const { prometheusRule } = (await import(join(ROOT, 'scripts/prometheus-rule.mjs'))) as {
  prometheusRule(rules: string): string
}

describe('monitoring in Kubernetes', () => {
  test('has the rules of deploy/prometheus/rules.yml: node scripts/prometheus-rule.mjs writes them', () => {
    const rules = readPage('deploy/prometheus/rules.yml')
    assert.equal(text('components/monitoring/prometheus-rule.yaml'), prometheusRule(rules))
    assert.deepEqual(find(production, 'PrometheusRule').spec, parse(rules))
  })

  test('scrapes the admin port under the job that the rules select, with the token that the service asks for', () => {
    const monitor = find(production, 'ServiceMonitor').spec
    const service = find(production, 'Service', 'muster-admin')
    for (const [label, value] of Object.entries(monitor.selector.matchLabels)) {
      assert.equal(service.metadata.labels[label], value)
    }
    assert.notEqual(find(production, 'Service').metadata.labels['app.kubernetes.io/component'], 'admin')
    assert.equal(service.metadata.labels[monitor.jobLabel], 'muster')
    assert.match(readPage('deploy/prometheus/rules.yml'), /job="muster"/)
    const [endpoint] = monitor.endpoints
    assert.equal(endpoint.port, service.spec.ports[0].name)
    const deployment = find(production, 'Deployment')
    const { key, name } = endpoint.authorization.credentials
    assert.ok(key in SECRET)
    const token = containerOf(deployment).env.find((one: Manifest) => one.name === 'METRICS_TOKEN_FILE')
    assert.ok(token.value.endsWith(`/${key}`))
    const volume = deployment.spec.template.spec.volumes.find((one: Manifest) => one.secret)
    assert.equal(volume.secret.secretName, name)
  })
})

describe('scaling in Kubernetes', () => {
  test('follows a gauge of the service, by the adapter and by KEDA', () => {
    assert.ok(gauges.includes(METRIC), gauges.join())
    const [rule, ...others] = adapter.rules.custom
    assert.deepEqual(others, [])
    assert.ok(rule.seriesQuery.startsWith(`${METRIC}{job="muster",`))
    assert.equal(hpa.metrics[0].pods.metric.name, rule.name.as)
    assert.ok(keda.triggers[0].metadata.query.includes(`(${METRIC}{job="muster", namespace="muster"}[1m])`))
    assert.equal(find(production, 'Namespace').metadata.name, 'muster')
  })

  test('has the same numbers with the HorizontalPodAutoscaler and with KEDA', () => {
    assert.deepEqual(keda.scaleTargetRef, hpa.scaleTargetRef)
    assert.deepEqual([keda.minReplicaCount, keda.maxReplicaCount], [hpa.minReplicas, hpa.maxReplicas])
    assert.deepEqual(keda.advanced.horizontalPodAutoscalerConfig.behavior, hpa.behavior)
    const [utilisation, cpu] = hpa.metrics
    assert.equal(`${Number(keda.triggers[0].metadata.threshold) * 1000}m`, utilisation.pods.target.averageValue)
    assert.equal(keda.triggers[1].metadata.value, String(cpu.resource.target.averageUtilization))
  })

  test('removes no pod because Prometheus is away or has no series', () => {
    assert.equal(keda.fallback, undefined)
    assert.equal(keda.triggers[0].metadata.ignoreNullValues, 'false')
  })

  test('asks for the average of the workers of each pod', { skip: missing('promtool') }, (t) => {
    // Pod a has workers at 20 and 60 %, pod b at 90 and 90 %, and the pod of another job does not count.
    const series = Object.entries({
      '{job="muster",namespace="muster",pod="a",slot="0"}': 0.2,
      '{job="muster",namespace="muster",pod="a",slot="1"}': 0.6,
      '{job="muster",namespace="muster",pod="b",slot="0"}': 0.9,
      '{job="muster",namespace="muster",pod="b",slot="1"}': 0.9,
      '{job="other",namespace="muster",pod="c",slot="0"}': 1
    }).map(([labels, value]) => ({ series: METRIC + labels, values: `${value}x20` }))
    const ofAdapter = adapter.rules.custom[0].metricsQuery
      .replace('<<.GroupBy>>', 'pod')
      .replace('<<.Series>>', METRIC)
      .replace('<<.LabelMatchers>>', 'namespace="muster",pod=~"a|b"')
    const sample = (labels: string, value: number) => ({ labels, value })
    const asked = [
      { expr: keda.triggers[0].metadata.query, exp_samples: [sample('{}', 1.3)] },
      { expr: ofAdapter, exp_samples: [sample('{pod="a"}', 0.4), sample('{pod="b"}', 0.9)] }
    ]
    const file = join(temporaryFolder(t), 'scaling.json')
    const promql_expr_test = asked.map((one) => ({ ...one, eval_time: '4m' }))
    writeFileSync(
      file,
      JSON.stringify({ rule_files: [], tests: [{ interval: '15s', input_series: series, promql_expr_test }] })
    )
    assert.match(execFileSync('promtool', ['test', 'rules', file], { encoding: 'utf8', stdio: 'pipe' }), /SUCCESS/)
  })

  test('has one autoscaler, which alone decides the number of pods', () => {
    assert.equal(find(production, 'Deployment').spec.replicas, undefined)
    const { components } = parse(text('overlays/production/kustomization.yaml')) as { components: string[] }
    assert.equal(components.filter((path) => /hpa|keda/.test(path)).length, 1)
  })
})
