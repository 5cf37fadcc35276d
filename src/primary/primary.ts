import cluster from 'node:cluster'
import { randomBytes, randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { CommandRunner } from '../admin/command-runner.ts'
import { AUDIT_FILE, JOURNAL_FILE, JournalFile } from '../admin/journal-file.ts'
import { registry } from '../admin/registry.ts'
import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { createLog } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import { withholdFromChildren, workerEnvironment } from '../config/worker-environment.ts'
import type { Collection } from '../ipc/messages.ts'
import { AcceptGate } from '../net/accept-gate.ts'
import { Descriptors } from '../net/file-descriptors.ts'
import { describeMissingInternals } from '../node-internals/check.ts'
import { probeIpcChannel } from '../node-internals/ipc-channel.ts'
import { probeListeningHandle } from '../node-internals/listening-handle.ts'
import { probeTcpHandle } from '../node-internals/tcp-handle.ts'
import { AdminEventStream } from './control/admin-event-stream.ts'
import { openAdminSocket } from './control/admin-socket.ts'
import { ServiceControl } from './control/service-control.ts'
import { type EmbeddedRedis, startEmbeddedRedis } from './embedded-redis/run-redis.ts'
import { startOrphanReaper } from './host/orphan-reaper.ts'
import { claimRunDirectory, sessionSecretFile } from './host/run-directory.ts'
import { handleSignals } from './host/signals.ts'
import { readySlots, tellSystemd } from './host/systemd.ts'
import { InternalErrors } from './internal-errors.ts'
import { Certificates } from './listener/certificates.ts'
import { ClientAddresses } from './listener/client-address.ts'
import type { TcpHandle } from './listener/connection-router.ts'
import { takeAdminPort, takePort } from './listener/port.ts'
import { createMetricsCollector } from './metrics/collect-metrics.ts'
import { PrimaryMetrics } from './metrics/primary-metrics.ts'
import { LIMITS, type Limits } from './policy/types.ts'
import { Releases } from './rollout/release.ts'
import { isDebugged, setupWorkers } from './workers/fork.ts'
import { Supervisor } from './workers/supervisor.ts'

/** What a worker needs after its own drain deadline to say so and leave, in ms. */
const DRAIN_MARGIN_MS = 2000

/** Whoever begins to watch over HTTP sees so many entries of the journal first. */
const LAST_ENTRIES = 50

const EXIT_CODES = { drained: 0, 'crash-loop': 1, 'cannot-boot': EXIT_CONFIG } as const

/** The primary's whole life. @throws StartupError when it cannot start */
export async function runPrimary(config: Config): Promise<void> {
  const missing = describeMissingInternals([probeTcpHandle, probeListeningHandle, probeIpcChannel])
  if (missing) throw new StartupError(missing)
  const log = await createLog(config, { role: 'primary' })
  const { version } = createRequire(import.meta.url)('muster/package.json') as { version: string }
  withholdFromChildren()
  const releaseRunDir = await claimRunDirectory(config.runDir, config.adminSocket)
  const journal = new JournalFile(join(config.runDir, JOURNAL_FILE), undefined, log)
  journal.record({ event: 'start', pid: process.pid, version })
  const auditLog = new JournalFile(join(config.runDir, AUDIT_FILE), undefined, log)
  const watchdog = startOrphanReaper(log)

  let redisUrl = config.redis.url
  let secretFile: string | undefined
  let redis: EmbeddedRedis | undefined
  const instance = randomUUID()
  const errors = new InternalErrors(log)
  const metrics = new PrimaryMetrics(version, errors)
  const { TLS_CERT, TLS_KEY } = config.variables as { TLS_CERT: unknown; TLS_KEY: unknown }
  let ticketKeys = randomBytes(TICKET_KEY_BYTES)
  const supervisor: Supervisor = new Supervisor({
    workers: config.workers,
    limits: limitsOf(config),
    drainMs: config.drainMs,
    runDir: config.runDir,
    releases: new Releases(process.argv[1]!, config.app),
    certificates: config.tls && new Certificates({ TLS_CERT, TLS_KEY }, config.tls),
    // Behind TLS nobody can read here what a proxy says of its clients.
    clients:
      config.scheduling === 'sticky'
        ? new ClientAddresses(config.tls ? { proxyProtocol: config.http.proxyProtocol } : config.http)
        : undefined,
    environment: (worker) =>
      workerEnvironment({
        ...worker,
        instance,
        redisUrl,
        sessionSecretFile: secretFile,
        ticketKeys: config.tls && ticketKeys
      }),
    onPid: (pid, alive) => watchdog.note('worker', pid, alive),
    command: (name, args, caller) => admin.run(name, args, caller),
    watch: ({ id, channel }, on) => {
      if (on) feed.add(id, (event) => channel.notify({ type: 'admin-event', event }), LAST_ENTRIES)
      else feed.remove(id)
    },
    collect: () => collect(),
    errors,
    log
  })
  metrics.watch(supervisor)
  const collect: () => Promise<Collection> = createMetricsCollector({
    live: () => supervisor.pool.live(),
    counts: supervisor.pool.counts,
    primary: (answered) => metrics.read(supervisor, answered)
  })
  if (config.tls) {
    // With time, and with each reload, so that old keys open no recorded session.
    const renew = () => {
      ticketKeys = randomBytes(TICKET_KEY_BYTES)
      supervisor.pool.tell({ type: 'ticket-keys', keys: ticketKeys.toString('base64') })
    }
    setInterval(renew, config.tls.ticketKeyMs).unref()
    supervisor.on('roll', renew)
  }
  supervisor.on('journal', (entry) => journal.record(entry))
  const control = new ServiceControl({
    supervisor,
    journal,
    auditLog,
    version,
    scheduling: config.scheduling,
    variables: config.variables,
    runDir: config.runDir,
    maxWorkers: config.maxWorkers,
    requestTimeoutMs: config.admin.requestTimeoutMs,
    bootMs: config.limits.bootMs,
    lameDuckMs: config.lameDuckMs,
    drainMs: config.drainMs
  })
  const admin: CommandRunner = new CommandRunner({
    registry,
    context: control,
    log,
    onInternalError: (error, command) => errors.caught('command', error, { command })
  })
  const feed: AdminEventStream = new AdminEventStream(control)

  if (config.systemd.notifySocket) {
    tellSystemd(supervisor, {
      socket: config.systemd.notifySocket,
      searchPath: config.searchPath,
      watchdogMs: config.systemd.watchdogMs,
      healthy: () => readySlots(supervisor.view()) * 2 > supervisor.state.desired,
      log
    })
  }

  let leaving = false
  const leave = async (code: number, why: string) => {
    if (leaving) return
    leaving = true
    log[code === 0 ? 'info' : 'fatal']({ code, why }, 'the service ends')
    journal.record({ event: 'stop', pid: process.pid, why, code })
    supervisor.pool.cut()
    await redis?.stop()
    releaseRunDir()
    process.exit(code)
  }
  supervisor.once('exit', (code, why) => {
    if (code !== 'drained') process.stderr.write(`muster: ${why}\n`)
    void leave(EXIT_CODES[code], why)
  })
  handleSignals(admin, (why) => void leave(1, why), log)
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'a fault of the primary')
    void leave(1, 'a fault of the primary')
  })

  try {
    const closeAdminSocket = await openAdminSocket(config.adminSocket, admin, feed)
    supervisor.once('exit', closeAdminSocket)
    if (!redisUrl) {
      redis = await startEmbeddedRedis({
        runDir: config.runDir,
        cacheDir: config.cacheDir,
        path: config.searchPath,
        log,
        fsync: config.redis.fsync,
        onPid: (pid, alive) => watchdog.note('server', pid, alive)
      })
      redisUrl = `unix://${redis.socketPath}`
      if (!config.session.secrets) secretFile = sessionSecretFile(config.runDir)
    }
    if (!config.session.secrets && config.production) {
      log.warn('SESSION_SECRET is not set: one was made and is kept beside the sessions it signs; set it in production')
    }
    // node:cluster's own round robin is not used: it forgets connections of a worker that dies and lets go of the port with the last.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    setupWorkers(config.nodeOptions)
    supervisor.port = await takePort(config, (handle) => supervisor.router.accept(handle), log)
    if (config.adminPort) {
      const accept = (handle: TcpHandle) => supervisor.router.accept(handle, true)
      supervisor.adminPort = await takeAdminPort(config.adminPort, accept, log)
    }
    // A worker that drains may have 64 connections under way to another one.
    const gate = new AcceptGate(new Descriptors((limit) => Math.min(256, limit / 4)), log)
    for (const port of [supervisor.port, supervisor.adminPort]) if (port?.handle) gate.add(port.handle)
    supervisor.router.gate = gate
    const { host, workers, scheduling } = config
    const ports = { port: supervisor.port.number, adminPort: supervisor.adminPort?.number }
    log.info({ version, ...ports, host, workers, scheduling }, 'muster starts')
    supervisor.reconcile()
  } catch (error) {
    journal.record({ event: 'stop', pid: process.pid, why: (error as Error).message })
    await redis?.stop()
    releaseRunDir()
    throw error
  }
}

/** As OpenSSL takes them: a name, an HMAC key and an AES key. The same for all workers, so that a client may come back to any. */
const TICKET_KEY_BYTES = 48

function limitsOf({ limits, drainMs }: Config): Limits {
  const { maxPauseMs, ...others } = limits
  // Of a primary under a debugger, workers are too: one that stands at a breakpoint is silent, and not wedged.
  const heartbeatMs = isDebugged() ? 0 : limits.heartbeatMs
  const backoff = { firstMs: Math.min(LIMITS.backoff.firstMs, maxPauseMs), maxMs: maxPauseMs }
  return { ...LIMITS, ...others, heartbeatMs, backoff, drainMs: drainMs + DRAIN_MARGIN_MS }
}
