import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rankPlantedFunction } from '../helpers/planted-cost.ts'
import { sizeOf } from '../helpers/sizes.ts'

const runs = Math.max(2, sizeOf('PROFILES', 10))
const needed = Math.ceil(runs * 0.9)

test(`a function that costs 10 % more CPU is first in ${needed} of ${runs} comparisons of canary and control`, async (t) => {
  const rankings = await rankPlantedFunction(t, { runs, seconds: 8 })
  const first = rankings.map(([top]) => top?.name)
  assert.ok(first.filter((name) => name === 'auditOrder').length >= needed, first.join(', '))
})
