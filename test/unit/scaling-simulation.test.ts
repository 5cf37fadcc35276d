import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { LOADS } from '../../bench/scaling/loads.ts'
import { scalingReport, scalingSamples } from '../../bench/scenarios/scaling.ts'

const samples = scalingSamples()

function valuesOf(table: string, subject: string) {
  const sample = samples.find((each) => each.table === table && each.subject === subject)
  assert.ok(sample, `${table}: ${subject}`)
  return sample.values as { late: number; workers: number }
}

describe('the simulation of autoscaling', () => {
  test('the tables in the docs are current', () => {
    const docs = readFileSync('docs/explanation/autoscaling.md', 'utf8')
    assert.ok(docs.includes(scalingReport(samples)), 'run `npm run bench -- scaling` and copy its tables')
  })

  test('no simulated rule that does not know the future has fewer late requests, except with all workers', () => {
    for (const table of Object.keys(LOADS)) {
      for (const rule of ['threshold', 'Watt’s rule', 'muster, without the slope']) {
        assert.ok(valuesOf(table, 'muster').late <= valuesOf(table, rule).late, `${table}: ${rule}`)
      }
    }
  })

  test('autoscaling needs fewer workers than the highest number, always', () => {
    for (const table of Object.keys(LOADS)) assert.ok(valuesOf(table, 'muster').workers < 6, table)
  })
})
