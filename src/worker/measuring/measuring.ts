import { performance } from 'node:perf_hooks'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { routeOf } from '../../http/routing/not-found.ts'
import type { ToWorker } from '../../ipc/messages.ts'
import { BaselineRecorder, MeasurementRecorder, newUnit, type UnitTally } from '../../verdict/measurement-recorder.ts'
import { type Connection, connectionOf } from '../connections/connection.ts'
import type { PrimaryChannel } from '../primary-client.ts'
import { ProcessFigures } from './process-figures.ts'
import { RouteNames } from './route-names.ts'

type MeasureMessage = Extract<ToWorker, { type: 'measure' }>

const REPORT_MS = 1000
/** The units of more clients are their connections. */
const MAX_CLIENTS = 10_000

/** Measures requests while the primary wants it, which is while a rollout tries its first worker, and reports once a second. */
export function measureOnRequest(app: FastifyInstance, channel: PrimaryChannel): void {
  let measuring: Measuring | undefined
  // The only cost of a request while nothing is measured.
  app.completion.observe((request, reply, { ms, aborted }) =>
    measuring?.record(request, ms, !aborted && reply.statusCode >= 500)
  )
  channel.on('measure', (message) => {
    if (message.step === 'stop') {
      measuring?.stop()
      measuring = undefined
      return
    }
    measuring ??= new Measuring(channel)
    measuring.enter(message)
  })
}

class Measuring {
  readonly #channel: PrimaryChannel
  readonly #timer: NodeJS.Timeout
  readonly #routes = new RouteNames()
  readonly #clients = new Map<string, UnitTally>()
  #baseline: BaselineRecorder | undefined
  #trial: { recorder: MeasurementRecorder; figures: ProcessFigures } | undefined
  #assignedSince = Number.POSITIVE_INFINITY
  #perClient = false

  constructor(channel: PrimaryChannel) {
    this.#channel = channel
    this.#timer = setInterval(() => this.#report(), REPORT_MS).unref()
  }

  enter({ step, limits, perClient = false }: MeasureMessage): void {
    if (step === 'baseline') this.#baseline = new BaselineRecorder()
    if (step === 'assign') this.#assignedSince = performance.now()
    if (step !== 'trial' || this.#trial) return
    this.#baseline = undefined
    this.#perClient = perClient
    this.#trial = { recorder: new MeasurementRecorder(limits), figures: new ProcessFigures() }
  }

  record(request: FastifyRequest, ms: number, isError: boolean): void {
    const connection = connectionOf(request.raw.socket)
    if (!connection || connection.origin?.admin) return
    const route = this.#routes.of(request.method, routeOf(request))
    this.#baseline?.record(route, ms)
    // What was transferred, or came before connections were assigned, is here by no chance.
    if (!this.#trial || connection.transferred || connection.openedAt < this.#assignedSince) return
    this.#trial.recorder.record(this.#unitOf(request, connection), route, ms, isError)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#trial?.figures.stop()
  }

  #unitOf(request: FastifyRequest, connection: Connection): UnitTally {
    if (!this.#perClient) return (connection.unit ??= newUnit())
    const known = this.#clients.get(request.ip)
    if (known) return known
    const unit = newUnit()
    if (this.#clients.size < MAX_CLIENTS) this.#clients.set(request.ip, unit)
    else return (connection.unit ??= unit)
    return unit
  }

  #report(): void {
    const { recorder, figures } = this.#trial ?? {}
    void this.#channel.notify({
      type: 'measured',
      ...(this.#baseline && { baseline: this.#baseline.baseline() }),
      ...(recorder && figures && { measurement: recorder.measurement(figures.read()) })
    })
  }
}
