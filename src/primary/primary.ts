import cluster from 'node:cluster'
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { CommandRunner } from '../admin/command-runner.ts'
import { AUDIT_FILE, JOURNAL_FILE, type JournalEvent, JournalFile } from '../admin/journal-file.ts'
import { registry } from '../admin/registry.ts'
import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { createLog, type Logger } from '../common/log.ts'
import { rangeText } from '../common/worker-range.ts'
import { usableMemory } from '../config/configuration.ts'
import { cpuQuota } from '../config/cpu-quota.ts'
import type { Config } from '../config/load.ts'
import type { LaunchOptions } from '../config/sources/successor-environment.ts'
import { withholdFromChildren } from '../config/systemd-environment.ts'
import { workerEnvironment } from '../config/worker-environment.ts'
import { AcceptGate } from '../net/accept-gate.ts'
import { Descriptors } from '../net/file-descriptors.ts'
import { describeMissingInternals } from '../node-internals/check.ts'
import { probeIpcChannel } from '../node-internals/ipc-channel.ts'
import { probeListeningHandle } from '../node-internals/listening-handle.ts'
import { probeTcpHandle } from '../node-internals/tcp-handle.ts'
import { Autoscaler } from './autoscaling/autoscaler.ts'
import { AdminEventStream } from './control/admin-event-stream.ts'
import { AdminSocket } from './control/admin-socket.ts'
import { ServiceControl } from './control/service-control.ts'
import { INSPECTOR_FLAGS, startDevelopment } from './development/development.ts'
import { RedisService } from './embedded-redis/redis-service.ts'
import { becomeInit, isWaitedFor } from './host/init-process.ts'
import { startOrphanReaper } from './host/orphan-reaper.ts'
import { RunDirectoryClaim } from './host/run-directory.ts'
import { handleSignals, ignoreSignals } from './host/signals.ts'
import { notifySystemd, readySlots } from './host/systemd.ts'
import { InternalErrors } from './internal-errors.ts'
import { Certificates } from './listener/certificates.ts'
import { ClientAddresses } from './listener/client-address.ts'
import { ConnectionRouter } from './listener/connection-router.ts'
import { ListeningPorts } from './listener/listening-ports.ts'
import { TicketKeys } from './listener/ticket-keys.ts'
import { createMetricsCollector } from './metrics/collect-metrics.ts'
import { CombinedMetrics } from './metrics/combined-metrics.ts'
import { PrimaryMetrics } from './metrics/primary-metrics.ts'
import { scalingFamilies } from './metrics/scaling-metrics.ts'
import { LIMITS, type Limits } from './policy/types.ts'
import { connectQuarantine } from './quarantine/connect-quarantine.ts'
import { removeDeathReports } from './quarantine/death-report.ts'
import { QuarantineKeeper } from './quarantine/quarantine-keeper.ts'
import { quarantineFamilies } from './quarantine/quarantine-metrics.ts'
import { Rebalancer } from './rebalancing/rebalancer.ts'
import { Releases } from './rollout/release.ts'
import { Rollout } from './rollout/rollout.ts'
import { readyFields, serviceOf, urlOf } from './running-service.ts'
import type { DevelopmentOptions, Service } from './service-types.ts'
import { type Beginning, freshStart, inherit } from './upgrade/inherit.ts'
import { PrimaryUpgrades } from './upgrade/primary-upgrades.ts'
import type { Succession } from './upgrade/succession.ts'
import type { SuccessorProcess } from './upgrade/successor-process.ts'
import { isDebugged, setupWorkers } from './workers/fork.ts'
import { Supervisor } from './workers/supervisor.ts'
import { WorkerPool } from './workers/worker-pool.ts'

/** Time that a worker needs to report and exit after its own drain deadline, in ms. */
const DRAIN_MARGIN_MS = 2000
/** Number of journal entries that a new watcher over HTTP receives first. */
const LAST_ENTRIES = 50
/** The accept gate keeps this many descriptors free: a draining worker may transfer 64 connections at once. */
const MAX_RESERVED_DESCRIPTORS = 256
const EXIT_CODES = { drained: 0, 'crash-loop': 1, 'cannot-boot': EXIT_CONFIG } as const

export interface PrimaryOptions {
  /** How to watch the code that is being written; undefined: it is not watched. */
  development?: DevelopmentOptions | undefined
  /** How to start this program again. */
  launch: LaunchOptions
  /** Set when this primary replaces another one. */
  succession?: Succession | undefined
}

/**
 * Starts the primary, which ends the process when the service ends.
 * @param exec path of the module that a worker process starts with, links unresolved
 * @throws StartupError when it cannot start
 */
export async function runPrimary(config: Config, exec: string, options: PrimaryOptions): Promise<Service> {
  const { development, succession } = options
  // The process that starts this one does not wait for it after it was adopted by process 1.
  const parent = process.ppid
  const missing = describeMissingInternals([probeTcpHandle, probeListeningHandle, probeIpcChannel])
  if (missing) throw new StartupError(missing)
  const beginning = succession ? inherit(config, succession) : freshStart(config)
  const log = await createLog(config, { role: 'primary' }, development !== undefined)
  withholdFromChildren()
  const claim = new RunDirectoryClaim(config)
  if (!succession) await claim.take()
  const base = createBase(config, log)
  const core = createCore(config, base, exec, development !== undefined, beginning)
  const admin = createAdmin(config, base, core)
  connect(config, base.errors, core, admin)
  const parts = { ...base, ...core, ...admin, config }
  const upgrades = new PrimaryUpgrades(parts, {
    launch: options.launch,
    succession,
    isDeveloped: development !== undefined,
    stays: succession?.inheritance.stays ?? isWaitedFor(parent, config),
    record: base.record,
    onPid: (pid, alive) => base.reaper.note('heir', pid, alive),
    onReplaced: () => {
      claim.leave()
      duties.end()
    },
    onInChargeAgain: async () => {
      claim.takeFromOther()
      duties.begin()
    },
    leave: (successor) => void exit.leave(successor)
  })
  const exit = createExit(parts, claim, upgrades)
  const duties = createDuties(parts, exit)
  handleEnd(parts, exit)
  try {
    await start(parts, beginning, development)
    if (succession) {
      ignoreSignals()
      succession.begin(parts, {
        adopted: { port: beginning.ports.port !== undefined, adminPort: beginning.ports.adminPort !== undefined },
        onInCharge: async () => {
          claim.takeFromOther()
          await core.redis.adopt()
          const socket = succession.sockets.get('admin')
          // The old primary was killed before it had passed it on.
          if (!socket) rmSync(config.adminSocket, { force: true })
          await admin.adminSocket.open(socket)
          admin.control.upgrades = upgrades
          inheritRange(core, succession)
          core.autoscaler.start()
          admin.control.announceHost()
          base.record({ event: 'upgraded', pid: process.pid, version: base.version })
          duties.begin()
        },
        exit: () => process.exit(0)
      })
    } else duties.begin()
    admin.control.upgrades = upgrades
    const service = serviceOf(core)
    void service.ready.then(() => log.info(readyFields(config, core), 'service ready'))
    return service
  } catch (error) {
    if (!succession) base.record({ event: 'stop', pid: process.pid, why: (error as Error).message })
    await core.redis.stop()
    claim.release()
    throw error
  }
}

type Base = ReturnType<typeof createBase>
type Core = ReturnType<typeof createCore>
type Admin = ReturnType<typeof createAdmin>
type Parts = Base & Core & Admin & { config: Config }
type Exit = ReturnType<typeof createExit>

/** A range that an operator has set lasts until WORKERS changes. */
function inheritRange({ autoscaler }: Core, { inheritance }: Succession): void {
  const isSame = JSON.stringify(inheritance.configuredRange) === JSON.stringify(autoscaler.configured)
  if (isSame && JSON.stringify(inheritance.range) !== JSON.stringify(autoscaler.range)) {
    autoscaler.setRange(inheritance.range)
  }
}

/** What everything else reports to. */
function createBase(config: Config, log: Logger) {
  const { version } = createRequire(import.meta.url)('muster-serve/package.json') as { version: string }
  const journal = new JournalFile(join(config.runDir, JOURNAL_FILE), undefined, log)
  const auditLog = new JournalFile(join(config.runDir, AUDIT_FILE), undefined, log)
  const record = (event: JournalEvent) => journal.record(event)
  return { log, version, journal, auditLog, record, errors: new InternalErrors(log), reaper: startOrphanReaper(log) }
}

/** Redis, the ports, the workers and their supervisor. */
function createCore(
  config: Config,
  { log, record, errors, reaper }: Base,
  exec: string,
  isDeveloped: boolean,
  { workers, generation, share, ticketKeys: keys }: Beginning
) {
  const limits = { ...limitsOf(config), waitsForReload: isDeveloped }
  const redis = new RedisService(config, (pid, alive) => reaper.note('server', pid, alive), log)
  const ticketKeys = config.tls && new TicketKeys(keys)
  const certificates =
    config.tls && new Certificates(config.variables as { TLS_CERT: unknown; TLS_KEY: unknown }, config.tls, generation)
  const gate = new AcceptGate(new Descriptors((limit) => Math.min(MAX_RESERVED_DESCRIPTORS, limit / 4)), log)
  const router = new ConnectionRouter(log, { clients: clientsOf(config), gate })
  const ports = new ListeningPorts(config, router, gate, log)
  const releases = new Releases(exec, config.app)
  const rollout = new Rollout({ releases, certificates, journal: record, log })
  const instance = randomUUID()
  const pool = new WorkerPool({
    limits,
    drainMs: config.drainMs,
    runDir: config.runDir,
    environment: (worker) =>
      workerEnvironment({
        ...worker,
        instance,
        port: ports.numbers.port,
        redisUrl: redis.url,
        sessionSecretFile: redis.sessionSecretFile,
        ticketKeys: ticketKeys?.current,
        reportsImports: isDeveloped
      }),
    onPid: (pid, alive) => reaper.note('worker', pid, alive),
    certificates,
    sharedSocket: () => ports.shared,
    journal: record,
    log
  })
  const parts = { pool, router, ports, releases, rollout }
  const supervisor = new Supervisor({
    workers,
    generation,
    share,
    limits,
    ...parts,
    canary: config,
    journal: record,
    errors,
    log
  })
  const autoscaler = new Autoscaler({
    supervisor,
    ...config.autoscaling,
    cpuQuota: cpuQuota(),
    memoryBytes: usableMemory(),
    journal: record,
    log
  })
  const keeper = new QuarantineKeeper({ ...config.quarantine, runDir: config.runDir, journal: record, log })
  const rebalancer = config.rebalances ? new Rebalancer(supervisor, errors, log) : undefined
  return { redis, ticketKeys, ports, pool, supervisor, autoscaler, rebalancer, keeper, releases, instance }
}

/** Commands, and what operators watch. */
function createAdmin(
  config: Config,
  { log, version, journal, auditLog, errors }: Base,
  { pool, supervisor, ports, autoscaler, rebalancer, keeper, releases, instance }: Core
) {
  const primaryMetrics = new PrimaryMetrics(version, errors)
  const collectOwn = createMetricsCollector({
    live: () => pool.live(),
    counters: pool.counters,
    primary: (answered) => [
      ...primaryMetrics.read(supervisor, answered),
      ...scalingFamilies(autoscaler, supervisor.state.desired, rebalancer?.moved),
      ...quarantineFamilies(keeper)
    ]
  })
  const metrics = new CombinedMetrics(collectOwn, pool.counters)
  const control = new ServiceControl({
    supervisor,
    autoscaler,
    keeper,
    journal,
    auditLog,
    version,
    url: () => urlOf(config, ports),
    scheduling: config.scheduling,
    variables: config.variables,
    runDir: config.runDir,
    maxWorkers: config.maxWorkers,
    requestTimeoutMs: config.admin.requestTimeoutMs,
    bootMs: config.limits.bootMs,
    lameDuckMs: config.lameDuckMs,
    drainMs: config.drainMs,
    releases,
    hosts: {
      ...config.hosts,
      redis: redisKind(config),
      instance,
      redisTimeoutMs: config.redis.timeoutMs,
      onRefused: () => primaryMetrics.countRefused()
    },
    log
  })
  const runner = new CommandRunner({
    registry,
    context: control,
    log,
    onInternalError: (error, command) => errors.caught('command', error, { command })
  })
  const stream = new AdminEventStream(control)
  const adminSocket = new AdminSocket(config.adminSocket, runner, stream)
  return { primaryMetrics, metrics, control, runner, stream, adminSocket }
}

/** Connects the parts that exist now. */
function connect(
  config: Config,
  errors: InternalErrors,
  core: Core,
  { primaryMetrics, metrics, runner, stream }: Admin
): void {
  const { pool, supervisor, ticketKeys, keeper } = core
  primaryMetrics.watch(supervisor)
  removeDeathReports(config.runDir)
  connectQuarantine(keeper, supervisor, errors)
  pool.serve({
    collectMetrics: () => metrics.all(),
    runCommand: (name, args, caller) => runner.run(name, args, caller),
    quarantine: keeper,
    watch: ({ id, channel }, on) => {
      if (on) stream.add(id, (event) => channel.notify({ type: 'admin-event', event }), LAST_ENTRIES)
      else stream.remove(id)
    }
  })
  if (config.tls && ticketKeys) renewTicketKeys(config.tls.ticketKeyMs, ticketKeys, core)
}

/** What only the primary in charge of the service does: it answers signals, and notifies systemd. */
function createDuties({ config, supervisor, runner, log }: Parts, exit: Exit) {
  let endNotifications: () => Promise<void> = async () => {}
  return {
    begin: () => {
      handleSignals(runner, (why) => void exit.end(1, why), log)
      const { notifySocket, watchdogMs } = config.systemd
      if (!notifySocket) return
      endNotifications = notifySystemd(supervisor, {
        socket: notifySocket,
        searchPath: config.searchPath,
        watchdogMs,
        healthy: () => readySlots(supervisor.view()) * 2 > supervisor.state.desired,
        log
      })
    },
    end: () => void endNotifications()
  }
}

/** Renews the keys periodically and after each rollout. */
function renewTicketKeys(intervalMs: number, ticketKeys: TicketKeys, { pool, supervisor }: Core): void {
  const renew = () => pool.notifyAll({ type: 'ticket-keys', keys: ticketKeys.renew().toString('base64') })
  setInterval(renew, intervalMs).unref()
  supervisor.on('rollout', renew)
}

/** @returns the ways in which the process ends; the first call counts */
function createExit(
  { log, record, pool, redis, supervisor, adminSocket }: Parts,
  claim: RunDirectoryClaim,
  upgrades: PrimaryUpgrades
) {
  let exiting = false
  return {
    /** The service ends. */
    end: async (code: number, why: string): Promise<void> => {
      if (exiting) return
      exiting = true
      log[code === 0 ? 'info' : 'fatal']({ code, why }, 'service ended')
      if (claim.isHeld) record({ event: 'stop', pid: process.pid, why, code })
      pool.killAll()
      if (code !== 0) upgrades.cut()
      await upgrades.successorEnded()
      await redis.stop()
      claim.release()
      process.exit(code)
    },
    /** Another primary replaces this one if one is about to. */
    crash: (): boolean => {
      if (!supervisor.state.share) return false
      process.exit(1)
    },
    /** Another primary has replaced this one. */
    leave: async (successor: SuccessorProcess): Promise<void> => {
      if (exiting) return
      exiting = true
      await adminSocket.answered()
      await redis.stop()
      log.info({ successor: successor.pid }, 'primary replaced')
      if (upgrades.stays) becomeInit(successor)
      else process.exit(0)
    }
  }
}

/** Ends the process when the supervisor says so, or when the primary itself fails. */
function handleEnd({ log, supervisor, adminSocket }: Parts, exit: Exit): void {
  supervisor.once('exit', (code, why) => {
    adminSocket.close()
    if (code !== 'drained') process.stderr.write(`muster: ${why}\n`)
    void exit.end(EXIT_CODES[code], why)
  })
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'primary crashed')
    if (!exit.crash()) void exit.end(1, 'primary crashed')
  })
}

/** Opens the admin socket, starts Redis, takes the ports and forks the workers. @throws StartupError */
async function start(
  { config, log, version, record, supervisor, redis, ports, adminSocket, autoscaler, control }: Parts,
  { ports: inheritedPorts, redisSocket, share }: Beginning,
  development: DevelopmentOptions | undefined
): Promise<void> {
  if (!share) {
    // First, since an admin socket that answers is what claims RUN_DIR for this primary.
    await adminSocket.open()
    record({ event: 'start', pid: process.pid, version })
  }
  await redis.start(redisSocket)
  if (!config.session.secrets && config.production) {
    const remedy = 'a generated secret is used and kept beside the sessions; set SESSION_SECRET in production'
    log.warn({ remedy }, 'SESSION_SECRET is not set')
  }
  if (config.hosts.takesTurns && redisKind(config) === 'embedded') {
    const remedy = 'the embedded Redis is for this host alone: set REDIS_URL to the Redis that all hosts share'
    log.warn({ remedy }, 'ROLLOUT_LEASE has no effect')
  }
  // The round robin of node:cluster forgets connections of a worker that exits, and closes the port with the last worker.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  const { loader } = config
  const loaderFlags = loader.kind === 'tsx' ? [`--import=${loader.url}`] : []
  setupWorkers([...loaderFlags, ...(development?.inspect ? INSPECTOR_FLAGS : [])], config.nodeOptions)
  if (development) supervisor.once('exit', await startDevelopment(development, supervisor, log))
  await ports.open(inheritedPorts)
  const { host, scheduling, autoscaling } = config
  const workers = autoscaling.range ? rangeText(autoscaling.range) : supervisor.state.desired
  log.info({ version, ...ports.numbers, host, workers, scheduling }, 'muster started')
  if (!share) autoscaler.start()
  supervisor.reconcile()
  if (!share) control.announceHost()
}

/** Whether other hosts can use the same Redis. */
function redisKind({ redis }: Config): 'shared' | 'embedded' | 'off' {
  if (redis.off) return 'off'
  return redis.url ? 'shared' : 'embedded'
}

/** @returns undefined unless each client is to reach the same worker every time */
function clientsOf({ scheduling, tls, http }: Config): ClientAddresses | undefined {
  if (scheduling !== 'sticky') return undefined
  // Behind TLS the primary cannot read the headers in which a proxy names its clients.
  return new ClientAddresses(tls ? { proxyProtocol: http.proxyProtocol } : http)
}

function limitsOf({ limits, drainMs }: Config): Limits {
  const { maxPauseMs, ...others } = limits
  // When the primary has an inspector, so have its workers, and one at a breakpoint is silent without hanging.
  const heartbeatMs = isDebugged() ? 0 : limits.heartbeatMs
  const backoff = { firstMs: Math.min(LIMITS.backoff.firstMs, maxPauseMs), maxMs: maxPauseMs }
  return { ...LIMITS, ...others, heartbeatMs, backoff, drainMs: drainMs + DRAIN_MARGIN_MS }
}
