import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judge, type Moment } from '../../src/primary/quarantine/guilty-routes.ts'
import { busyRuns, SCENARIOS } from '../helpers/quarantine-scenarios.ts'

const RUNS = 2
const at = (...routes: string[]): Moment => routes.map((route) => ({ method: 'GET', route, path: route }))
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)
const guiltyOf = (deaths: Moment[], samples: Moment[]) =>
  judge(deaths, samples, 3)
    .filter(({ guilty }) => guilty)
    .map(({ route, pattern }) => pattern ?? route)

describe('a verdict', () => {
  test('needs the wanted number of deaths', () => {
    const samples = times(400, at('/busy'))
    assert.deepEqual(guiltyOf(times(2, at('/busy', '/deadly')), samples), [])
    assert.deepEqual(guiltyOf(times(3, at('/busy', '/deadly')), samples), ['/deadly'])
  })

  test('accuses no route without samples of what is usual', () => {
    assert.deepEqual(guiltyOf(times(5, at('/a')), []), [])
  })

  test('accuses neither of two routes that were always in flight together', () => {
    assert.deepEqual(guiltyOf(times(10, at('/a', '/b')), times(400, [])), [])
  })

  test('never accuses a route that takes every path as a whole', () => {
    const request = (path: string) => [{ method: 'GET', route: '/*', path }]
    const deaths = ['/a', '/b', '/c', '/d', '/e', '/f'].map(request)
    assert.deepEqual(guiltyOf(deaths, times(400, [])), [])
  })

  test('accuses a path instead of its route when the path alone was in flight at the deaths', () => {
    const request = (id: number) => [{ method: 'GET', route: '/items/:id', path: `/items/${id}` }]
    const samples = Array.from({ length: 400 }, (_, i) => request(i % 50))
    assert.deepEqual(guiltyOf(times(4, request(666)), samples), ['/items/666'])
  })

  test('accuses a route and none of its paths when the paths differ', () => {
    const deaths = [1, 2, 3, 4].map((id) => [{ method: 'GET', route: '/items/:id', path: `/items/${id}` }])
    assert.deepEqual(guiltyOf(deaths, times(400, at('/busy'))), ['/items/:id'])
  })
})

describe('in a simulation', () => {
  for (const scenario of SCENARIOS) {
    test(scenario.promise, () => {
      const { wrong, missed } = busyRuns(scenario, RUNS)
      assert.deepEqual(wrong, [], 'no innocent route is quarantined')
      assert.ok(missed <= RUNS * scenario.mayMiss, `${missed} of ${RUNS} runs found nothing`)
    })
  }
})
