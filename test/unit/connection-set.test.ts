import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Connection } from '../../src/worker/connections/connection.ts'
import { ConnectionSet } from '../../src/worker/connections/connection-registry.ts'
import { Random } from '../helpers/random.ts'

const connection = () => ({ previous: undefined, next: undefined }) as Connection

describe('the connections of a worker', () => {
  test('are those of a Set, whatever is added and deleted in which order', () => {
    const random = new Random(1)
    const known = Array.from({ length: 50 }, connection)
    const expected = new Set<Connection>()
    const all = new ConnectionSet()
    for (let i = 0; i < 5000; i++) {
      const one = known[random.between(0, known.length - 1)]!
      if (random.chance(0.5)) {
        all.add(one)
        expected.add(one)
      } else {
        all.delete(one)
        expected.delete(one)
      }
      assert.equal(all.size, expected.size)
      assert.deepEqual(
        [...all].map((one) => known.indexOf(one)),
        [...expected].map((one) => known.indexOf(one))
      )
      for (const each of known) assert.equal(all.has(each), expected.has(each))
    }
  })

  test('are each visited once, although others close meanwhile, and not after they have closed', () => {
    const all = new ConnectionSet()
    const [first, second, third, fourth] = Array.from({ length: 4 }, connection) as [
      Connection,
      Connection,
      Connection,
      Connection
    ]
    for (const one of [first, second, third, fourth]) all.add(one)
    const visited: Connection[] = []
    for (const one of all) {
      visited.push(one)
      if (one === first) all.delete(second)
      all.delete(one)
    }
    assert.deepEqual(visited, [first, third, fourth])
    assert.equal(all.size, 0)
  })

  test('do not make later ones old when they have closed, as those of a Set do', () => {
    const fixture = fileURLToPath(new URL('../fixtures/connections-in-old-space.js', import.meta.url))
    const oldKib = (...args: string[]) =>
      Number(execFileSync(process.execPath, ['--expose-gc', fixture, ...args], { encoding: 'utf8' }))
    const ofSet = oldKib('set')
    assert.ok(ofSet > 1000, `a Set keeps them: ${ofSet} KiB`)
    const ofConnections = oldKib()
    assert.ok(ofConnections < ofSet / 2, `${ofConnections} KiB, and ${ofSet} KiB with a Set`)
  })
})
