import type { MeasureReport, Outcome, RouteDifference } from './verdict-types.ts'

/** What one side of a trial has served. */
export interface SideReport {
  connections: number
  requests: number
  errors: number
}

/** How the canary of a rollout compares with the old release, now or at the end. It is part of JSON answers. */
export interface TrialReport {
  /** `starting`: the control boots. `held`: an operator must decide. */
  state: 'none' | 'starting' | 'running' | 'held' | 'ended'
  outcome: Outcome | 'promoted'
  /** The decisive measures in words, or why there is no verdict. */
  why: string
  /** The share of new connections that the canary receives. */
  share: number
  /** How long canary and control have received connections. */
  seconds: number
  /** The trial ends after this time at the latest. */
  maxSeconds: number
  canary: SideReport
  /** A new worker of the old release; null if there is none, and only errors are compared. */
  control: SideReport | null
  /** All other workers of the old release. */
  others: SideReport
  measures: MeasureReport[]
  /** The routes that differ most; empty unless the outcome is `worse`. */
  routes: RouteDifference[]
}
