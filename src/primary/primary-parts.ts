import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { CommandRunner } from '../admin/command-runner.ts'
import { AUDIT_FILE, JOURNAL_FILE, type JournalEvent, JournalFile } from '../admin/journal-file.ts'
import { registry } from '../admin/registry.ts'
import type { Logger } from '../common/log.ts'
import { usableMemory } from '../config/configuration.ts'
import { cpuQuota } from '../config/cpu-quota.ts'
import type { Config } from '../config/load.ts'
import { workerEnvironment } from '../config/worker-environment.ts'
import { AcceptGate } from '../net/accept-gate.ts'
import { Descriptors } from '../net/file-descriptors.ts'
import { Autoscaler } from './autoscaling/autoscaler.ts'
import { AdminEventStream } from './control/admin-event-stream.ts'
import { AdminSocket } from './control/admin-socket.ts'
import { ServiceControl } from './control/service-control.ts'
import { RedisService } from './embedded-redis/redis-service.ts'
import { startOrphanReaper } from './host/orphan-reaper.ts'
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
import { LIMITS, type Limits } from './policy/policy-limits.ts'
import { connectQuarantine } from './quarantine/connect-quarantine.ts'
import { QuarantineKeeper } from './quarantine/quarantine-keeper.ts'
import { quarantineFamilies } from './quarantine/quarantine-metrics.ts'
import { Rebalancer } from './rebalancing/rebalancer.ts'
import { Releases } from './rollout/release.ts'
import { Rollout } from './rollout/rollout.ts'
import { urlOf } from './running-service.ts'
import type { Beginning } from './upgrade/inherit.ts'
import { isDebugged } from './workers/fork.ts'
import { Supervisor } from './workers/supervisor.ts'
import { WorkerPool } from './workers/worker-pool.ts'

/** Time that a worker needs to report and exit after its own drain deadline, in ms. */
const DRAIN_MARGIN_MS = 2000
/** Number of journal entries that a new watcher over HTTP receives first. */
const LAST_ENTRIES = 50
/** The accept gate keeps this many descriptors free: a draining worker may transfer 64 connections at once. */
const MAX_RESERVED_DESCRIPTORS = 256
export type Base = ReturnType<typeof createBase>
export type Core = ReturnType<typeof createCore>
type Admin = ReturnType<typeof createAdmin>
export type Parts = Base & Core & Admin & { config: Config }

/** What everything else reports to. */
export function createBase(config: Config, log: Logger) {
  const { version } = createRequire(import.meta.url)('muster-serve/package.json') as { version: string }
  const journal = new JournalFile(join(config.runDir, JOURNAL_FILE), undefined, log)
  const auditLog = new JournalFile(join(config.runDir, AUDIT_FILE), undefined, log)
  const record = (event: JournalEvent) => journal.record(event)
  return { log, version, journal, auditLog, record, errors: new InternalErrors(log), reaper: startOrphanReaper(log) }
}

/** Redis, the ports, the workers and their supervisor. */
export function createCore(
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
    config.tls && new Certificates(config.variables as { TLS_CERT: string; TLS_KEY: string }, config.tls, generation)
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
export function createAdmin(
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
export function connect(
  config: Config,
  errors: InternalErrors,
  core: Core,
  { primaryMetrics, metrics, runner, stream }: Admin
): void {
  const { pool, supervisor, ticketKeys, keeper } = core
  primaryMetrics.watch(supervisor)
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

/** Renews the keys periodically and after each rollout. */
function renewTicketKeys(intervalMs: number, ticketKeys: TicketKeys, { pool, supervisor }: Core): void {
  const renew = () => pool.notifyAll({ type: 'ticket-keys', keys: ticketKeys.renew().toString('base64') })
  setInterval(renew, intervalMs).unref()
  supervisor.on('rollout', renew)
}

/** Whether other hosts can use the same Redis. */
export function redisKind({ redis }: Config): 'shared' | 'embedded' | 'off' {
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
