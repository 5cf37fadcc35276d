import type { Heartbeat, WorkerView } from './payloads.ts'

/** What the primary of a host announces in Redis. It contains no secret: no token, no URL of Redis, no configuration. */
export interface HostReport {
  /** The host name and 8 digits that no other primary has: two services may run on one host, and two containers may have one name. */
  id: string
  host: string
  pid: number
  version: string
  /** The id of the release that serves. */
  release: string
  url: string
  uptimeSeconds: number
  generation: number
  desired: number
  state: string
  workers: (WorkerView & Pick<Heartbeat, 'requests' | 'inFlight' | 'connections' | 'rssBytes' | 'utilization'>)[]
  lastReload?: { outcome: string; generation: number; why?: string } | undefined
  /** Set while a rollout of this host waits for its turn. */
  waitsFor?: string | undefined
}

/** A host as `muster status --all-hosts` shows it. */
export interface HostView extends HostReport {
  /** Time since the report was written, by the clock of Redis, in ms. */
  ageMs: number
}

/** The last rollout of any host under ROLLOUT_LEASE, as Redis stores it. */
export interface RolloutRecord {
  /** `ended`: it says nothing about the release, for example because the host was stopped or lost its lease. */
  state: 'rolling' | 'done' | 'failed' | 'ended'
  /** The id of the release that was rolled out. */
  release: string
  host: string
  /** {@link HostReport.id} */
  id: string
  why?: string | undefined
}

/** The answer to a request for the rollout lease. */
export interface TurnAnswer {
  /** The fencing token of the lease; 0 while another host holds it. */
  fence: number
  /** The place in the queue, to be sent with the next request. */
  ticket: number
  /** Most hosts that wait ahead of this one. */
  ahead: number
  /** What the last host recorded, and when, in ms since 1970 by the clock of Redis. */
  last?: { record: RolloutRecord; fence: number; at: number } | undefined
}

/** Requests of the primary to a worker about all hosts that share one Redis. Workers pass them on to Redis. */
export type HostRequests = {
  'host-beat': { args: { report: HostReport; ttlMs: number }; result: null }
  'hosts-list': { args: Record<string, never>; result: HostView[] }
  'rollout-take': { args: { token: string; ticket: number; ttlMs: number }; result: TurnAnswer }
  /** Resolves with false when the lease is lost. */
  'rollout-renew': { args: { token: string }; result: boolean }
  'rollout-release': { args: { token: string }; result: null }
  /** Resolves with false when a host with a higher fence has written since: the record is then not stored. */
  'rollout-record': { args: { record: RolloutRecord; fence: number }; result: boolean }
}
