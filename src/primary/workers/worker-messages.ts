import type { EventEmitter } from 'node:events'
import { parseCuts, parseWaitsFor, type WaitsFor } from '../../ipc/drain-report.ts'
import type { LatencyBaseline, Measurement } from '../../ipc/measurement.ts'
import type {
  Caller,
  CertificatePair,
  Collection,
  CommandAnswer,
  DrainReport,
  WorkerRequestCount
} from '../../ipc/messages.ts'
import { parseBaseline, parseMeasurement } from '../../ipc/parse-measurement.ts'
import { type Family, parseFamilies } from '../../ipc/series.ts'
import type { TcpHandle, Transfer } from '../listener/routed-connection.ts'
import type { Event } from '../policy/types.ts'
import type { ExitedWorker, QuarantineKeeper } from '../quarantine/quarantine-keeper.ts'
import { broadcastToWorkers, type WorkerPeer } from './broadcast-to-workers.ts'
import type { WorkerProcess } from './worker-process.ts'

/** Events of the worker pool. */
export interface WorkerPoolEvents {
  /** For the policy. */
  event: [event: Event]
  /** A worker has loaded these files: when each was modified last, in ms, by its path. */
  imports: [files: Readonly<Record<string, number>>]
  /** The inspector of a worker is open at this port of 127.0.0.1. */
  inspector: [worker: number, port: number]
  /** A worker lingers; undefined without a report of its connections so far. */
  settled: [report: DrainReport | undefined, worker: number]
  /** A worker has left in order. */
  drained: [stats: DrainReport, worker: number]
  /** A worker measures for a trial. */
  measured: [worker: number, figures: { baseline: LatencyBaseline | undefined; measurement: Measurement | undefined }]
  /** A worker has lost Redis, or has it back. */
  redis: []
  /** A worker has exited. Emitted before the policy knows it. */
  exited: [worker: ExitedWorker]
  /** A worker can take more connections than before. */
  room: []
  /** A worker serves the connection with this id. */
  accepted: [connection: number, worker: number]
  /** A worker has given this number of connections to less busy ones. */
  rebalanced: [moved: number, worker: number]
  /** `done` must be called when another worker serves the connection, or when it is lost. */
  transfer: [transfer: Transfer, done: (lost: boolean) => void]
}

/** Answers to requests of workers that need more than the pool itself. */
export interface WorkerServices {
  /** Collects the metrics of every process that answers in time. */
  collectMetrics(): Promise<Collection>
  /** Runs an admin command that came through a worker. */
  runCommand(name: string, args: object, caller: Caller): Promise<CommandAnswer>
  /** Finds and refuses the requests that end workers. */
  readonly quarantine: Pick<QuarantineKeeper, 'orders' | 'addSamples' | 'grantsProbe' | 'probeEnded'>
  /** Starts or stops the stream of admin events to a worker. */
  watch(worker: WorkerProcess, on: boolean): void
}

/** The pool, as the messages of one worker use it. */
export interface MessageContext {
  readonly events: EventEmitter<WorkerPoolEvents>
  readonly services: WorkerServices
  ready(): void
  bootFailed(cause: string): void
  /** The worker lingers. */
  settled(waitsFor: WaitsFor, report: DrainReport | undefined): void
  drained(stats: DrainReport): void
  unknownMessage(name: string): void
  /** A connection that the worker transferred arrived without its file descriptor. */
  transferLost(): void
  updateCounters(families: Family[]): void
  peers(): WorkerPeer[]
  requestCounts(): WorkerRequestCount[]
  /** The bound socket, for workers that accept connections themselves. */
  sharedSocket(): unknown
  certificates(): CertificatePair | undefined
}

/** Receives every message of a worker, and answers its requests. */
export function receiveMessages(worker: WorkerProcess, context: MessageContext): void {
  receiveNotifications(worker, context)
  receiveConnections(worker, context)
  answerRequests(worker, context)
}

function receiveNotifications(worker: WorkerProcess, context: MessageContext): void {
  const { id, channel } = worker
  channel.on('ready', ({ resumes }) => {
    worker.resumes = resumes === true
    context.ready()
  })
  channel.on('boot-failed', ({ why }) => context.bootFailed(why))
  channel.on('heartbeat', ({ heartbeat }) => {
    const { waitsFor, samples, ...measured } = heartbeat
    worker.recordHeartbeat({ ...measured, waitsFor: waitsFor && parseWaitsFor(waitsFor) })
    context.services.quarantine.addSamples(samples)
    const { rssBytes, requests } = heartbeat
    context.events.emit('event', { type: 'heartbeat', id, rssBytes, requests })
  })
  channel.on('counters', ({ families }) => {
    try {
      context.updateCounters(parseFamilies(families))
    } catch {
      context.unknownMessage('counters')
    }
  })
  channel.on('redis', ({ up }) => {
    worker.redisUp = up
    context.events.emit('redis')
  })
  channel.on('probe-ended', ({ id: route, outcome }) => context.services.quarantine.probeEnded(id, route, outcome))
  channel.on('settled', ({ waitsFor, report }) => {
    context.settled(parseWaitsFor(waitsFor), report && { ...report, cuts: parseCuts(report.cuts) })
  })
  channel.on('measured', ({ baseline, measurement }) => {
    const figures = { baseline: parseBaseline(baseline), measurement: parseMeasurement(measurement) }
    context.events.emit('measured', id, figures)
  })
  channel.on('imports', ({ files }) => context.events.emit('imports', files))
  channel.on('inspector', ({ port }) => context.events.emit('inspector', id, port))
  channel.on('watch', ({ on }) => context.services.watch(worker, on))
}

function receiveConnections(worker: WorkerProcess, context: MessageContext): void {
  const { id, slot, channel } = worker
  const { events } = context
  channel.on('port', () => void channel.notify({ type: 'port' }, context.sharedSocket()))
  channel.on('accepted', ({ id: connection, room }) => {
    worker.room = room
    events.emit('accepted', connection, id)
  })
  channel.on('room', ({ room }) => {
    worker.room = room
    events.emit('room')
  })
  channel.on('rebalanced', ({ moved }) => events.emit('rebalanced', moved, id))
  channel.on('transfer', ({ id: connection, idleMs, origin, resume, target }, handle) => {
    if (!isHandle(handle)) return context.transferLost()
    events.emit('transfer', { handle, slot, idleMs, origin, resume, target }, (lost) => {
      void channel.notify({ type: 'transferred', id: connection, ...(lost && { lost }) })
    })
  })
}

function answerRequests(worker: WorkerProcess, context: MessageContext): void {
  const { id, channel } = worker
  const { services, events } = context
  channel.respond('certificates', () => context.certificates() ?? null)
  channel.respond('quarantine', () => services.quarantine.orders())
  channel.respond('probe', ({ id: route }) => services.quarantine.grantsProbe(id, route))
  channel.respond('collect-metrics', () => services.collectMetrics())
  channel.respond('request-counts', () => context.requestCounts())
  channel.respond('broadcast', (message) => broadcastToWorkers(context.peers(), message))
  channel.respond('command', async ({ name, args, caller }) => {
    events.emit('event', { type: 'admin-request', id, change: 1 })
    try {
      return await services.runCommand(name, args, caller)
    } finally {
      events.emit('event', { type: 'admin-request', id, change: -1 })
    }
  })
  channel.respond('drained', (stats) => {
    context.drained({ ...stats, cuts: parseCuts(stats.cuts) })
    return null
  })
}

const isHandle = (handle: unknown): handle is TcpHandle =>
  typeof (handle as { close?: unknown } | undefined)?.close === 'function'
