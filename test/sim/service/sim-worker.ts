import type { Logger } from '../../../src/common/log.ts'
import { type ChannelPeer, createChannel } from '../../../src/ipc/channel.ts'
import { AcceptGate } from '../../../src/net/accept-gate.ts'
import { Descriptors } from '../../../src/net/file-descriptors.ts'
import { BaselineRecorder, MeasurementRecorder, newUnit } from '../../../src/verdict/measurement-recorder.ts'
import { connectionOf } from '../../../src/worker/connections/connection.ts'
import { Connections } from '../../../src/worker/connections/connections.ts'
import { watchCapacity } from '../../../src/worker/connections/remaining-capacity.ts'
import { followClusterView, followPrimary, takeConnections } from '../../../src/worker/follow-primary.ts'
import type { PrimaryChannel } from '../../../src/worker/primary-client.ts'
import { Shutdown } from '../../../src/worker/shutdown.ts'
import type { SimProcess } from '../machine/sim-process.ts'
import { type Behaviour, createSimApp } from './sim-app.ts'
import { simSocketOf } from './sim-socket.ts'
import { serveSockets } from './sim-web-socket.ts'

export const KEEP_ALIVE_MS = 5000
/** Workers of the service send one every second. Fewer of them let a simulated week pass sooner. */
export const SIM_HEARTBEAT_MS = 5000
const LOW_CAPACITY = 64
const EXIT_CONFIG = 78
/** Node measures these in real time, which does not pass here. */
const NEVER = 1e9

export interface SimWorkerOptions {
  process: SimProcess
  peer: ChannelPeer
  behaviour: Behaviour
  log: Logger
  onRequest: (id: string) => void
}

/** What a simulated worker has open, for the invariants. */
export interface SimWorker {
  /** Connections in its registry, and those on their way to another worker. */
  readonly connections: Connections
}

/** Starts a worker: everything that `src/worker` does about connections and drains, around a small app. */
export function startSimWorker({ process, peer, behaviour, log, onRequest }: SimWorkerOptions): SimWorker {
  const channel: PrimaryChannel = createChannel(peer)
  const connections = new Connections({
    keepAliveMs: KEEP_ALIVE_MS,
    headersMs: NEVER,
    requestMs: NEVER,
    headerBytes: 16_384,
    maxRequests: 0,
    maxConnections: 0,
    maxConnectionsPerClient: 0,
    socketOf: simSocketOf
  })
  const measuring = measure(channel)
  connections.serve(createSimApp(connections, behaviour, { onRequest, onAnswered: measuring.record }))
  const gate = new AcceptGate(new Descriptors(() => 0, Number.POSITIVE_INFINITY), log)
  const capacity = watchCapacity(
    connections.registry,
    gate,
    LOW_CAPACITY,
    (room) => void channel.notify({ type: 'room', room })
  )
  channel.respond('ping', () => null)
  followClusterView(channel, connections)
  takeConnections(channel, connections, capacity)
  const shutdown = new Shutdown({
    connections,
    draining: new AbortController(),
    app: { close: async () => {} } as never,
    shared: { ended: async () => {}, stop: () => {} },
    sessionSecrets: { stop: () => {} },
    redis: { stop: () => {} },
    channel,
    sendCounters: async () => {},
    telemetry: undefined,
    log,
    process: {
      get connected() {
        return peer.connected
      },
      exit: (code) => process.exit({ code, signal: null })
    }
  })
  peer.once(
    'disconnect',
    followPrimary(channel, connections, shutdown, { http: { keepAliveMs: KEEP_ALIVE_MS }, tls: undefined })
  )
  connections.acceptor.startInjected()
  serveSockets(connections)
  setInterval(() => {
    const heartbeat = {
      ...connections.count(),
      loopDelayMs: 0,
      utilization: 0.1,
      rssBytes: process.rssBytes,
      heapBytes: 0,
      room: capacity(),
      waitsFor: shutdown.waitsFor()
    }
    void channel.notify({ type: 'heartbeat', heartbeat })
  }, SIM_HEARTBEAT_MS)
  void boot(channel, process, behaviour)
  return { connections }
}

async function boot(channel: PrimaryChannel, process: SimProcess, { boots }: Behaviour): Promise<void> {
  if (boots === 'never') {
    process.isFaulty = true
    return
  }
  if (boots === 'dies') return process.exit({ code: null, signal: 'SIGSEGV' })
  if (boots === 'reports that it cannot') {
    await channel.notify({ type: 'boot-failed', why: 'a bad release' })
    return process.exit({ code: EXIT_CONFIG, signal: null })
  }
  await channel.notify({ type: 'redis', up: true })
  await channel.notify({ type: 'ready', resumes: true })
}

/** Measures requests as a worker does, without figures of the process, which are not simulated. */
function measure(channel: PrimaryChannel) {
  let baseline: BaselineRecorder | undefined
  let trial: MeasurementRecorder | undefined
  let timer: NodeJS.Timeout | undefined
  let assignedSince = Number.POSITIVE_INFINITY
  let trialSince = 0
  const report = () => {
    const seconds = (performance.now() - trialSince) / 1000
    const measurement = trial?.measurement({ seconds, stalledMs: 0, cpuMicros: 0, memoryBytes: undefined })
    void channel.notify({
      type: 'measured',
      ...(baseline && { baseline: baseline.baseline() }),
      ...(measurement && { measurement })
    })
  }
  channel.on('measure', ({ step, limits }) => {
    clearInterval(timer)
    if (step === 'stop') {
      baseline = trial = undefined
      return
    }
    timer = setInterval(report, 1000)
    if (step === 'baseline') baseline = new BaselineRecorder()
    if (step === 'assign') assignedSince = performance.now()
    if (step !== 'trial' || trial) return
    baseline = undefined
    trialSince = performance.now()
    trial = new MeasurementRecorder(limits)
  })
  const record: Parameters<typeof createSimApp>[2]['onAnswered'] = (request, response, ms) => {
    const connection = connectionOf(request.socket)
    if (!connection || (!baseline && !trial)) return
    const route = `${request.method} /work`
    baseline?.record(route, ms)
    if (!trial || connection.transferred || connection.openedAt < assignedSince) return
    trial.record((connection.unit ??= newUnit()), route, ms, response.statusCode >= 500)
  }
  return { record }
}
