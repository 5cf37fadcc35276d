import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileModule } from '../helpers/compile.ts'
import { ROOT } from '../helpers/documents.ts'

const FOLDER = join(ROOT, 'deploy/grafana/dashboards')
const NAMES = readdirSync(FOLDER)
const contentOf = (name: string) => readFileSync(join(FOLDER, name), 'utf8')

/**
 * Grafana's own types of a dashboard, of the version that docker-compose.yml starts. JSON has texts where TypeScript has members of
 * enumerations. The fields of an annotation that belong to Prometheus are in no schema of Grafana.
 */
const TYPES = `import type { AnnotationQuery, Dashboard } from '@grafana/schema'
type Json<T> = T extends string ? \`\${T}\` : T extends object ? { [Key in keyof T]: Json<T[Key]> } : T
type Annotation = Json<Omit<AnnotationQuery, 'target'>> & {
  target: { refId: string; expr: string; interval: string }
  titleFormat: string
}
type Checked = Json<Omit<Dashboard, 'annotations'>> & { annotations: { list: Annotation[] } }
`
const check = (dashboard: string) =>
  compileModule('dashboard', `${TYPES}export const dashboard: Checked = ${dashboard}`)

for (const name of NAMES) {
  test(`the dashboard ${name} has the form that Grafana's schema describes`, () => {
    assert.equal(check(contentOf(name)), '')
  })
}

test("a dashboard with an unknown field or a wrong value does not have the form of Grafana's schema", () => {
  const dashboard = contentOf('muster.json')
  for (const [right, wrong] of [
    ['"graphTooltip"', '"graphTooltips"'],
    ['"mode": "absolute"', '"mode": "relative"'],
    ['"gridPos"', '"position"'],
    ['"sort": 1', '"sort": 99']
  ] as const) {
    assert.ok(dashboard.includes(right))
    assert.match(check(dashboard.replace(right, wrong)), /error TS/, wrong)
  }
})

test('each panel has a place of its own and an id of its own', () => {
  for (const name of NAMES) {
    const { panels } = JSON.parse(contentOf(name)) as { panels: { id: number; gridPos: Place }[] }
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const [i, { gridPos }] of panels.entries()) {
      assert.ok(gridPos.x + gridPos.w <= 24, `${name}: panel ${i}`)
      const others = panels.slice(i + 1).filter((other) => overlap(gridPos, other.gridPos))
      assert.deepEqual(others, [], `${name}: panel ${i}`)
    }
  }
})

test('the schema is that of the Grafana which Compose starts', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/@grafana/schema/package.json'), 'utf8')) as {
    version: string
  }
  assert.ok(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8').includes(`image: grafana/grafana:${version}\n`))
})

interface Place {
  x: number
  y: number
  w: number
  h: number
}

const overlap = (a: Place, b: Place) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
