import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counted } from '../helpers/counted.ts'
import { findPlanted } from '../sim/planted/find-planted.ts'
import { PLANTED_BUGS } from '../sim/planted/planted-bugs.ts'

const SCALE = Number(process.env.LONG_SCALE ?? 1)
/** The short form looks for some of them. */
const BUGS = PLANTED_BUGS.filter((_, i) => i % Math.max(1, Math.round(0.5 / SCALE)) === 0)

test('at least twenty bugs can be planted', () => {
  assert.ok(PLANTED_BUGS.length >= 20)
})

for (const bug of BUGS) {
  test(`the simulator finds this bug: ${bug.name}`, async (t) => {
    const { found, seeds } = await findPlanted(bug)
    assert.notEqual(found, undefined, `nothing in ${seeds} seeds`)
    counted(t, { 'planted bugs found': 1 })
  })
}
