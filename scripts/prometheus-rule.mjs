// Writes the rules of deploy/prometheus/rules.yml as an object for the Prometheus Operator. Run it after a change of the rules; a test
// compares both files.
// Usage: node scripts/prometheus-rule.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const fileAt = (path) => new URL(`../deploy/${path}`, import.meta.url)
const RULES = fileAt('prometheus/rules.yml')
const OBJECT = fileAt('kubernetes/components/monitoring/prometheus-rule.yaml')

const HEAD = `# Generated from deploy/prometheus/rules.yml: node scripts/prometheus-rule.mjs
# A runbook_url needs the address of your copy of the runbook:
#   sed -i 's,{{ $externalURL }}/user/runbook.md,https://wiki.example.com/muster,' prometheus-rule.yaml
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: muster
  labels: { app.kubernetes.io/name: muster }
spec:
`

/** @returns the object, with the rules as they are, comments included */
export function prometheusRule(rules) {
  const groups = rules.slice(rules.indexOf('groups:\n'))
  return HEAD + groups.replace(/^(?=.)/gm, '  ')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(OBJECT, prometheusRule(readFileSync(RULES, 'utf8')))
}
