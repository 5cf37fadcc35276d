import { EventEmitter } from 'node:events'
import type { QuarantineView, SuspectView } from '../../admin/command-context.ts'
import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { ProbeOutcome, QuarantineOrders } from '../../ipc/quarantine.ts'
import { type RoutePattern, routeText } from '../../ipc/route-pattern.ts'
import { limitSightings, parseSightings, type Sighting } from '../../ipc/sightings.ts'
import { fits } from './candidates.ts'
import { takeDeathReport } from './death-report.ts'
import { judge, type Moment, type Suspect } from './guilty-routes.ts'
import { type Death, type QuarantineSnapshot, restoreSnapshot, snapshotOf } from './quarantine-snapshot.ts'
import * as policy from './quarantines.ts'
import { Samples } from './samples.ts'

export interface KeeperOptions {
  /** Deaths with a route in flight before it can be quarantined; 0: no route is. */
  deaths: number
  /** Deaths and samples count for this time, in ms. */
  windowMs: number
  /** The time of the first quarantine of a route, in ms. */
  timeMs: number
  runDir: string
  journal: (event: JournalEvent) => void
  log: Logger
}

/** A worker that has exited. */
export interface ExitedWorker {
  id: number
  slot: number
  pid: number
  generation: number
  /** It served, and neither left in order nor was killed for a reason other than a hang. */
  died: boolean
  /** What its hang report lists. */
  hungWith?: readonly Sighting[] | undefined
}

/** More deaths in one window are not judged: the latest count. */
const MAX_DEATHS = 50
const MAX_LISTED = 100

interface KeeperEvents {
  /** Orders to workers change. */
  change: [QuarantineOrders]
  /** This primary has decided something that others must know. */
  decided: []
  /** A worker has exited, and another primary decides what follows. */
  followed: [worker: ExitedWorker, inRollout: boolean]
}

/** Finds the routes that end workers, and decides which requests workers refuse. */
export class QuarantineKeeper extends EventEmitter<KeeperEvents> {
  /** How often a route was quarantined since the start. */
  total = 0
  /** Any object that stands for the primary that decides for this one; undefined: this one decides. */
  leader: object | undefined
  readonly #options: KeeperOptions
  readonly #samples: Samples
  #state = policy.NO_QUARANTINES
  #deaths: Death[] = []
  #suspects: Suspect[] = []
  /** Workers trace their requests until then, because a worker died without a report. */
  #tracesUntil = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(options: KeeperOptions) {
    super()
    this.#options = options
    this.#samples = new Samples(options.windowMs)
  }

  orders(): QuarantineOrders {
    const now = performance.now()
    const routes = this.#state.entries.map(({ id, method, path, until, probe }) => ({
      id,
      method,
      path,
      // While a probe is under way, the primary refuses others.
      retryMs: probe ? 0 : Math.min(Math.max(0, until - now), 2 ** 31 - 1)
    }))
    return { routes, samples: this.#options.deaths > 0, traces: now < this.#tracesUntil }
  }

  /** @param samples as a worker sent them */
  addSamples(samples: unknown): void {
    if (!Array.isArray(samples) || this.#options.deaths === 0) return
    for (const sample of samples.slice(0, 16)) this.#samples.add(parseSightings(sample), performance.now())
  }

  /** What another primary takes over. Samples are not part of it: each primary has new ones after seconds. */
  snapshot(): QuarantineSnapshot {
    return snapshotOf(this.#state, this.#deaths, performance.now())
  }

  /** Takes over what another primary has decided. */
  restore(snapshot: QuarantineSnapshot): void {
    const { state, deaths } = restoreSnapshot(snapshot, this.#state.lastId, performance.now())
    this.#state = state
    this.#deaths = deaths
    this.#send()
  }

  /** @param inRollout the worker was of a release that is being rolled out: its death ends the rollout, and accuses no route */
  workerExited(worker: ExitedWorker, inRollout: boolean): void {
    if (this.leader) {
      this.emit('followed', worker, inRollout)
      return
    }
    const { deaths, runDir, timeMs } = this.#options
    const now = performance.now()
    const reported = takeDeathReport(runDir, worker.pid, now < this.#tracesUntil)
    this.#set(policy.workerExited(this.#state, { worker: worker.id, died: worker.died }, now, timeMs))
    if (!worker.died || deaths === 0) return
    const inFlight = worker.hungWith ?? reported
    if (inFlight) this.#recordDeath(worker, inFlight)
    if (inRollout) return
    if (inFlight) this.#judge(limitSightings(inFlight), now)
    else this.#traceFrom(worker, now)
  }

  /** Returns whether a worker may let a request of this route through. */
  grantsProbe(worker: number, id: number): boolean {
    if (this.leader) return false
    const granted = policy.grantProbe(this.#state, id, worker, performance.now())
    if (granted) this.#set(granted)
    return granted !== undefined
  }

  probeEnded(worker: number, id: number, outcome: ProbeOutcome): void {
    if (this.leader) return
    const next =
      outcome === 'answered'
        ? policy.probeAnswered(this.#state, id, worker, performance.now(), this.#options.timeMs)
        : policy.probeUnknown(this.#state, id, worker)
    this.#set(next, 'a request was answered')
  }

  /** New code serves every slot. */
  releaseServes(): void {
    this.#set(policy.probeNow(this.#state, performance.now()))
  }

  add(route: RoutePattern): void {
    this.#set(policy.quarantineByOperator(this.#state, route, performance.now()))
  }

  /** Lifts a quarantine, and forgets the deaths that led to it. @returns false when the route is not quarantined */
  lift(route: RoutePattern): boolean {
    if (!policy.findQuarantine(this.#state, route)) return false
    const isOf = (sighting: Sighting) =>
      sighting.method === route.method &&
      (sighting.route === route.path || fits({ ...route, route: sighting.route, pattern: route.path }, sighting))
    this.#deaths = this.#deaths.filter(({ moment }) => !moment.some(isOf))
    this.#suspects = this.#suspects.filter((suspect) => nameOf(suspect) !== routeText(route))
    this.#set(policy.lift(this.#state, route), 'lifted by a command')
    return true
  }

  list(): QuarantineView[] {
    const now = performance.now()
    return this.#state.entries.map((entry) => ({
      route: routeText(entry),
      by: entry.by,
      state: stateOf(entry, now),
      why: entry.cause,
      since: new Date(Date.now() - (now - entry.since)).toISOString(),
      retrySeconds: Number.isFinite(entry.until) ? Math.max(0, Math.ceil((entry.until - now) / 1000)) : null
    }))
  }

  /** Routes that were in flight at deaths more often than chance explains, and are not quarantined. */
  suspects(): SuspectView[] {
    const quarantined = new Set(this.#state.entries.map(routeText))
    return this.#suspects
      .filter((suspect) => !suspect.guilty && !quarantined.has(nameOf(suspect)))
      .slice(0, 10)
      .map((suspect) => ({
        route: nameOf(suspect),
        deaths: suspect.deaths,
        usualShare: Math.round(suspect.usualShare * 1000) / 1000,
        evidence: Math.round(suspect.evidence * 10) / 10
      }))
  }

  #recordDeath({ slot, pid, generation }: ExitedWorker, inFlight: readonly Sighting[]): void {
    const requests = inFlight.slice(0, MAX_LISTED)
    this.#options.log.warn({ slot, worker: pid, generation, requests }, 'requests in flight at a death')
    const why = requests.length > 0 ? namesOf(requests) : 'none'
    this.#options.journal({ event: 'left in flight', slot, pid, generation, why, requests })
  }

  #judge(moment: Moment, now: number): void {
    const { deaths, windowMs, timeMs } = this.#options
    this.#deaths = [...this.#deaths.filter(({ at }) => now - at <= windowMs), { at: now, moment }].slice(-MAX_DEATHS)
    const moments = this.#deaths.map((death) => death.moment)
    this.#suspects = judge(moments, this.#samples.moments(now), deaths)
    this.emit('decided')
    for (const suspect of this.#suspects) {
      // A route that was lifted is not accused again by a death of which it is innocent.
      if (!suspect.guilty || !moment.some((sighting) => fits(suspect, sighting))) continue
      const path = suspect.pattern ?? suspect.route
      const share = (suspect.usualShare * 100).toFixed(1)
      const cause = `in flight at ${suspect.deaths} deaths of workers, and ${share} % of the time otherwise`
      this.#set(policy.quarantine(this.#state, { method: suspect.method, path, cause }, now, timeMs))
    }
  }

  #traceFrom({ slot, pid, generation }: ExitedWorker, now: number): void {
    const { windowMs, log } = this.#options
    const isNew = now >= this.#tracesUntil
    this.#tracesUntil = now + windowMs
    if (!isNew) return
    log.warn({ slot, worker: pid, generation, ms: windowMs }, 'tracing requests: a worker died without a report')
    this.#send()
  }

  /** @param why of a lift */
  #set(next: policy.Quarantines, why = ''): void {
    const before = this.#state
    if (next === before) return
    this.#state = next
    const { log, journal } = this.#options
    for (const entry of next.entries) {
      const known = before.entries.find(({ id }) => id === entry.id)
      if (known && known.level === entry.level) continue
      this.total++
      const seconds = Number.isFinite(entry.until) ? Math.round((entry.until - performance.now()) / 1000) : null
      const cause = known ? 'a request that was let through ended its worker' : entry.cause
      log.error({ route: routeText(entry), why: cause, by: entry.by, seconds }, 'route quarantined')
      journal({ event: 'quarantined', why: `${routeText(entry)}: ${cause}`, route: routeText(entry), seconds })
    }
    for (const entry of before.entries) {
      if (next.entries.some(({ id, method, path }) => id === entry.id || keyOf({ method, path }) === keyOf(entry)))
        continue
      log.warn({ route: routeText(entry), why }, 'quarantine lifted')
      journal({ event: 'quarantine lifted', why: `${routeText(entry)}: ${why}`, route: routeText(entry) })
    }
    this.#send()
    this.emit('decided')
  }

  /** Tells the workers, and wakes at the next change. */
  #send(): void {
    const orders = this.orders()
    this.emit('change', orders)
    clearTimeout(this.#timer)
    const now = performance.now()
    const tracing = this.#tracesUntil > now ? this.#tracesUntil : Number.POSITIVE_INFINITY
    const next = Math.min(policy.nextChange(this.#state, now, this.#options.timeMs), tracing)
    if (!Number.isFinite(next)) return
    this.#timer = setTimeout(() => this.#wake(), Math.min(Math.max(1, next - now), 2 ** 31 - 1)).unref()
  }

  #wake(): void {
    if (this.leader) return
    const next = policy.liftLongProbes(this.#state, performance.now(), this.#options.timeMs)
    if (next === this.#state) this.#send()
    else this.#set(next, 'a request goes on and its worker lives')
  }
}

const { keyOf } = policy

function stateOf({ probe, until }: policy.Quarantine, now: number): QuarantineView['state'] {
  if (probe) return 'probing'
  return now < until ? 'quarantined' : 'half-open'
}

const nameOf = ({ method, route, pattern }: Suspect) => `${method} ${pattern ?? route}`

const namesOf = (requests: readonly Sighting[]) =>
  [...new Set(requests.map(({ method, route }) => `${method} ${route || '(no route)'}`))].slice(0, 10).join(', ')
