import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import { routeQuarantined } from '../../../common/errors.ts'
import type { ProbeOutcome, QuarantinedRoute } from '../../../ipc/quarantine.ts'
import { matchesPath, routeText } from '../../../ipc/route-pattern.ts'
import { resumptionOf } from '../../transferable.ts'

/** The primary, as far as the guard needs it. */
export interface ProbeClient {
  /** Asks whether this request may be let through. Never rejects. */
  request(id: number): Promise<boolean>
  ended(id: number, outcome: ProbeOutcome): void
}

type KnownRoute = QuarantinedRoute & { retryAt: number }

/** Refuses requests of quarantined routes, but lets single probes through when the primary allows it. */
export class QuarantineGuard {
  /** Requests must be checked. Read for every request. */
  isActive = false
  /** Called before a request begins or ends; undefined: what is in flight is not sampled. */
  beforeChange: (() => void) | undefined
  /** Called for every request before its handler runs, when requests are traced. */
  #trace: ((reply: FastifyReply) => void) | undefined
  #routes: KnownRoute[] = []
  readonly #probes: ProbeClient
  /** Called for every refused request. */
  onRefused: ((route: string) => void) | undefined

  constructor(probes: ProbeClient) {
    this.#probes = probes
  }

  /** @param trace called for every request; undefined: requests are not traced */
  set(routes: readonly QuarantinedRoute[], trace: ((reply: FastifyReply) => void) | undefined): void {
    const now = performance.now()
    this.#routes = routes.map((route) => ({ ...route, retryAt: now + route.retryMs }))
    this.#trace = trace
    this.isActive = routes.length > 0 || trace !== undefined
  }

  /** Continues with `done`. Probes, the admin plane and what another worker began are never refused. */
  check(request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void {
    const isExempt = request.routeOptions.config.bypassLimits || resumptionOf(request.raw)
    const route = isExempt ? undefined : this.#routes.find((candidate) => isOf(request, candidate))
    if (isExempt) done()
    else if (!route) this.#letThrough(reply, done)
    else if (performance.now() < route.retryAt) this.#refuse(route, done)
    else void this.#probe(route, reply, done)
  }

  async #probe(route: KnownRoute, reply: FastifyReply, done: HookHandlerDoneFunction): Promise<void> {
    const isGranted = await this.#probes.request(route.id)
    if (!isGranted) {
      this.#refuse(route, done)
      return
    }
    const { raw } = reply
    const report = () => this.#probes.ended(route.id, raw.writableEnded ? 'answered' : 'unknown')
    if (raw.destroyed) report()
    else raw.once('close', report)
    this.#letThrough(reply, done)
  }

  #letThrough(reply: FastifyReply, done: HookHandlerDoneFunction): void {
    this.#trace?.(reply)
    done()
  }

  #refuse(route: KnownRoute, done: HookHandlerDoneFunction): void {
    this.onRefused?.(routeText(route))
    const seconds = Math.ceil((route.retryAt - performance.now()) / 1000)
    done(routeQuarantined(Math.max(1, Math.min(seconds, MAX_RETRY_SECONDS))))
  }
}

/** What an operator added has no end. */
const MAX_RETRY_SECONDS = 3600

function isOf(request: FastifyRequest, { method, path }: QuarantinedRoute): boolean {
  if (request.method !== method) return false
  return request.routeOptions.url === path || matchesPath(path, pathOf(request))
}

/** The path that the client sent, without the query. Mounted apps get it when it is not valid for Fastify, too. */
const pathOf = ({ originalUrl }: FastifyRequest) => originalUrl.split('?', 1)[0]!
