import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { environmentSchema } from '../../src/config/environment-schema.ts'
import { ROOT, readPage } from '../helpers/documents.ts'
import { build } from '../helpers/kustomize.ts'
import { configOf, find } from '../helpers/pods.ts'
import { figuresOf, hitsTable, limitsTable, pagesTable, WORKERS_PER_POD } from '../helpers/scaling-arithmetic.ts'

const PAGE = 'docs/explanation/scaling.md'
const TABLES = { hits: hitsTable, pages: pagesTable, limits: limitsTable }

describe(PAGE, () => {
  for (const [name, compute] of Object.entries(TABLES)) {
    test(`the table of ${name} follows from the figures of the page`, () => {
      const page = readPage(PAGE)
      const between = new RegExp(`(<!-- ${name} -->\\n)([\\s\\S]*)(<!-- /${name} -->)`)
      const computed = `\n${compute(figuresOf(page))}\n\n`
      if (process.env.UPDATE) {
        writeFileSync(
          join(ROOT, PAGE),
          page.replace(between, (_, begin, __, end) => `${begin}${computed}${end}`)
        )
      } else assert.equal(between.exec(page)?.[2], computed)
    })
  }

  test('another figure gives other tables', () => {
    const figures = figuresOf(readPage(PAGE))
    assert.ok(Object.keys(figures).length >= 12)
    assert.notEqual(hitsTable({ ...figures, hit: 2 * figures.hit! }), hitsTable(figures))
    assert.notEqual(pagesTable({ ...figures, redisPage: figures.redisPage! / 2 }), pagesTable(figures))
    assert.notEqual(limitsTable({ ...figures, batch: 2 * figures.batch! }), limitsTable(figures))
    assert.throws(() => hitsTable({}), /the page has no figure/)
  })

  test('a load that one worker carries needs one, and twice the load twice the workers', () => {
    const figures = { hit: 100, target: 50, round: 4.5, batch: 37, response: 500 }
    // A worker at 50 % answers 5,000 hits/s of 100 µs.
    const rows = hitsTable(figures).split('\n').slice(2, 4)
    assert.match(rows[0]!, /^\| 1,000 \| 1 \| 1 \|/)
    assert.match(rows[1]!, /^\| 10,000 \| 2 \| 1 \|/)
  })

  test('uses the figures of the other pages, of the manifests and of the defaults', (t) => {
    const figures = figuresOf(readPage(PAGE))
    const performance = readPage('docs/explanation/performance.md')
    assert.ok(performance.includes(`(${figures.batch} µs each`))
    const deployment = find(build(join(ROOT, 'deploy/kubernetes/overlays/production')), 'Deployment')
    assert.equal(configOf(t, deployment).workers, WORKERS_PER_POD)
    const { REDIS_TIMEOUT, RATE_LIMIT, RATE_WINDOW } = environmentSchema.properties
    assert.equal(REDIS_TIMEOUT.default, 1000, 'in ms; the table has it in µs')
    assert.ok(
      readPage(PAGE).includes(
        `\`RATE_LIMIT\`: ${((RATE_LIMIT.default * 1000) / RATE_WINDOW.default).toLocaleString('en-US')} requests/s`
      )
    )
  })
})
