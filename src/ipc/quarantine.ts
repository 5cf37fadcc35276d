/** A route that is refused, as workers know it. */
export interface QuarantinedRoute {
  id: number
  /** Upper case. */
  method: string
  /** A route template, or a pattern of paths, in the format of `RoutePattern`. */
  path: string
  /** After this time a single request may be let through, in ms; 0: now. */
  retryMs: number
}

/** What workers do about requests that end workers. */
export interface QuarantineOrders {
  routes: QuarantinedRoute[]
  /** Sample which requests are in flight, and report them when the process exits. */
  samples: boolean
  /** Note every request in a file while it is in flight, because the last death left no report. */
  traces: boolean
}

/** The orders of a primary that knows no quarantine. */
export const NO_ORDERS: QuarantineOrders = { routes: [], samples: false, traces: false }

/** The file in RUN_DIR with the requests that were in flight when a worker died: JSON lines, one request each. */
export const inFlightFile = (pid: number): string => `in-flight-${pid}.jsonl`

/** The first line of a file that was written at the exit of the process; without it, the file is a trace. */
export const EXIT_MARK = 'exit'

/** How a probe ended. `unknown`: the client left before it had the answer. */
export type ProbeOutcome = 'answered' | 'unknown'
