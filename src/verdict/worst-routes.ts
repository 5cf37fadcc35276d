import type { Measurement, RouteFigures } from '../ipc/measurement.ts'
import type { RouteDifference, Trial } from './verdict-types.ts'

const MAX_REPORTED = 5
/** A route with fewer requests on one side says nothing. */
const MIN_REQUESTS = 5

/**
 * Returns the routes on which the canary is worst: those with the largest part of its additional errors and of its additional time.
 * A route counts by what it adds to all traffic, so a rare route has to be much worse to be named.
 */
export function worstRoutes({ canary, control }: Pick<Trial, 'canary' | 'control'>): RouteDifference[] {
  const errors = Math.max(1, canary.errors)
  const time = Math.max(1, totalLatency(canary))
  return Object.entries(canary.routes)
    .filter(([route]) => Object.hasOwn(control.routes, route))
    .map(([route, figures]) => ({ route, canary: figures, control: control.routes[route]! }))
    .filter((both) => Math.min(both.canary.requests, both.control.requests) >= MIN_REQUESTS)
    .map((both) => ({ route: both.route, canary: summary(both.canary), control: summary(both.control) }))
    .map((route) => ({ route, badness: badness(route, errors, time) }))
    .filter((entry) => entry.badness > 0)
    .sort((a, b) => b.badness - a.badness)
    .slice(0, MAX_REPORTED)
    .map((entry) => entry.route)
}

function badness({ canary, control }: RouteDifference, errors: number, time: number): number {
  const moreErrors = (canary.errorRate - control.errorRate) * canary.requests
  const moreTime = (canary.meanMs - control.meanMs) * canary.requests
  return Math.max(0, moreErrors / errors) + Math.max(0, moreTime / time)
}

const summary = ({ requests, errors, latencyMs }: RouteFigures) => ({
  requests,
  errorRate: errors / requests,
  meanMs: latencyMs / requests
})

const totalLatency = (arm: Measurement) => Object.values(arm.routes).reduce((sum, route) => sum + route.latencyMs, 0)
