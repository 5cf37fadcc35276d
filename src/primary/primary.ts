import cluster from 'node:cluster'
import { rmSync } from 'node:fs'
import { StartupError } from '../common/errors.ts'
import { createLog } from '../common/log.ts'
import { rangeText } from '../common/worker-range.ts'
import type { Config } from '../config/load.ts'
import type { LaunchOptions } from '../config/sources/successor-environment.ts'
import { withholdFromChildren } from '../config/systemd-environment.ts'
import { describeMissingInternals } from '../node-internals/check.ts'
import { probeIpcChannel } from '../node-internals/ipc-channel.ts'
import { probeListeningHandle } from '../node-internals/listening-handle.ts'
import { probeTcpHandle } from '../node-internals/tcp-handle.ts'
import { INSPECTOR_FLAGS, startDevelopment } from './development/development.ts'
import { isWaitedFor } from './host/init-process.ts'
import { RunDirectoryClaim } from './host/run-directory.ts'
import { ignoreSignals } from './host/signals.ts'
import { createDuties, createExit, handleEnd } from './primary-end.ts'
import { type Core, connect, createAdmin, createBase, createCore, type Parts, redisKind } from './primary-parts.ts'
import { removeDeathReports } from './quarantine/death-report.ts'
import { readyFields, serviceOf } from './running-service.ts'
import type { DevelopmentOptions, Service } from './service-types.ts'
import { type Beginning, freshStart, inherit } from './upgrade/inherit.ts'
import { PrimaryUpgrades } from './upgrade/primary-upgrades.ts'
import type { Succession } from './upgrade/succession.ts'
import { REDIS_PIPES } from './upgrade/upgrade-messages.ts'
import { setupWorkers } from './workers/fork.ts'

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
          await core.redis.adopt(REDIS_PIPES.flatMap((name) => succession.sockets.get(name) ?? []))
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

/** A range that an operator has set lasts until WORKERS changes. */
function inheritRange({ autoscaler }: Core, { inheritance }: Succession): void {
  const isSame = JSON.stringify(inheritance.configuredRange) === JSON.stringify(autoscaler.configured)
  if (isSame && JSON.stringify(inheritance.range) !== JSON.stringify(autoscaler.range)) {
    autoscaler.setRange(inheritance.range)
  }
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
    // Those of a primary that was killed. In an upgrade, the reports are the other primary's.
    removeDeathReports(config.runDir)
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
