import { deepEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RouteFigures } from '../../src/ipc/measurement.ts'
import { emptyMeasurement } from '../../src/verdict/measurement-recorder.ts'
import { worstRoutes } from '../../src/verdict/worst-routes.ts'

type Figures = [requests: number, errors: number, latencyMs: number]

/** Compares routes by the figures of the canary and of the control. A route without figures was not called on this side. */
function worst(routes: Record<string, [Figures | undefined, Figures | undefined]>) {
  const [canary, control] = [emptyMeasurement(), emptyMeasurement()]
  for (const [route, [ofCanary, ofControl]] of Object.entries(routes)) {
    if (ofCanary) canary.routes[route] = named(ofCanary)
    if (ofControl) control.routes[route] = named(ofControl)
  }
  canary.errors = Object.values(canary.routes).reduce((sum, { errors }) => sum + errors, 0)
  return worstRoutes({ canary, control })
}

const named = ([requests, errors, latencyMs]: Figures): RouteFigures => ({ requests, errors, latencyMs })
const namesOf = (routes: Parameters<typeof worst>[0]) => worst(routes).map(({ route }) => route)

describe('the worst routes of a canary', () => {
  it('come with the error rates and the mean latencies of both sides', () => {
    deepEqual(
      worst({
        'GET /a': [
          [100, 25, 2000],
          [50, 5, 250]
        ]
      }),
      [
        {
          route: 'GET /a',
          canary: { requests: 100, errorRate: 0.25, meanMs: 20 },
          control: { requests: 50, errorRate: 0.1, meanMs: 5 }
        }
      ]
    )
  })

  it('are those with more errors, or with a higher latency', () => {
    const same: Figures = [100, 1, 500]
    deepEqual(namesOf({ errors: [[100, 9, 500], same], same: [same, same], time: [[100, 1, 900], same] }), [
      'errors',
      'time'
    ])
  })

  it('do not include routes that are better', () => {
    deepEqual(
      namesOf({
        'GET /better': [
          [100, 0, 100],
          [100, 10, 900]
        ]
      }),
      []
    )
  })

  it('include a route that is faster because it fails', () => {
    deepEqual(
      namesOf({
        'GET /fails': [
          [100, 50, 100],
          [100, 0, 900]
        ]
      }),
      ['GET /fails']
    )
    deepEqual(
      namesOf({
        'GET /slow': [
          [100, 0, 900],
          [100, 50, 100]
        ]
      }),
      ['GET /slow']
    )
  })

  it('are ordered by what they add to all traffic, so a rare route has to be much worse', () => {
    const often: [Figures, Figures] = [
      [1000, 0, 4000],
      [1000, 0, 2000]
    ]
    deepEqual(
      namesOf({
        rare: [
          [10, 0, 1100],
          [10, 0, 100]
        ],
        often
      }),
      ['often', 'rare']
    )
    deepEqual(
      namesOf({
        rare: [
          [10, 0, 3100],
          [10, 0, 100]
        ],
        often
      }),
      ['rare', 'often']
    )
  })

  it('weigh additional errors by all errors of the canary, and additional time by all of its time', () => {
    const slow: [Figures, Figures] = [
      [100, 0, 300],
      [100, 0, 0]
    ]
    const rest: [Figures, Figures] = [
      [100, 0, 700],
      [100, 0, 700]
    ]
    // Of ten errors, two are new: a fifth. Of 1000 ms, 300 are new.
    deepEqual(
      namesOf({
        failing: [
          [100, 10, 0],
          [100, 8, 0]
        ],
        slow,
        rest
      }),
      ['slow', 'failing']
    )
    deepEqual(
      namesOf({
        slow,
        failing: [
          [100, 10, 0],
          [100, 5, 0]
        ],
        rest
      }),
      ['failing', 'slow']
    )
    // A fifth of the errors and a fifth of the time together.
    const both: [Figures, Figures] = [
      [100, 10, 200],
      [100, 8, 0]
    ]
    deepEqual(
      namesOf({
        slow,
        both,
        rest: [
          [100, 0, 500],
          [100, 0, 500]
        ]
      }),
      ['both', 'slow']
    )
  })

  it('are at most five', () => {
    const routes = ['a', 'b', 'c', 'd', 'e', 'f'].map((route, i) => [
      route,
      [
        [10, 0, 100 + i],
        [10, 0, 0]
      ]
    ])
    deepEqual(namesOf(Object.fromEntries(routes)), ['f', 'e', 'd', 'c', 'b'])
  })

  it('have five requests or more on both sides', () => {
    const enough: Figures = [5, 5, 0]
    deepEqual(
      namesOf({
        enough: [enough, [5, 0, 0]],
        few: [
          [4, 4, 0],
          [9, 0, 0]
        ],
        rare: [
          [9, 9, 0],
          [4, 0, 0]
        ]
      }),
      ['enough']
    )
  })

  it('are routes that both sides have served', () => {
    deepEqual(namesOf({ 'GET /new': [[100, 100, 900], undefined], 'GET /old': [undefined, [100, 0, 900]] }), [])
  })
})
