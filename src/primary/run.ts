import cluster from 'node:cluster'
import { createRequire } from 'node:module'
import { type Config, workerEnvironment } from '../config.ts'
import { EXIT_CONFIG, listenFault } from '../errors.ts'
import { createLog } from '../log.ts'
import { openAdminSocket } from './admin-socket.ts'
import { Commands } from './commands.ts'
import { type EmbeddedRedis, startEmbeddedRedis } from './embedded-redis.ts'
import { PrimaryMetrics } from './metrics.ts'
import { LIMITS } from './plan.ts'
import { claimRunDir, sessionSecretFile } from './run-dir.ts'
import { handleSignals } from './signals.ts'
import { Supervisor } from './supervisor.ts'
import { startWatchdog } from './watchdog.ts'

/** What a worker needs after its own drain deadline to say so and leave, in ms. */
const DRAIN_MARGIN_MS = 2000

/** The primary's whole life. @throws StartupError when it cannot start */
export async function runPrimary(config: Config): Promise<void> {
  const log = await createLog(config, { role: 'primary' })
  const { version } = createRequire(import.meta.url)('muster/package.json') as { version: string }
  const releaseRunDir = await claimRunDir(config.runDir, config.adminSocket)
  const watchdog = startWatchdog(log)

  let redisUrl = config.redis.url
  let secretFile: string | undefined
  let redis: EmbeddedRedis | undefined
  const metrics = new PrimaryMetrics()
  const supervisor: Supervisor = new Supervisor({
    workers: config.workers,
    limits: { ...LIMITS, bootMs: config.bootMs, drainMs: config.drainMs + DRAIN_MARGIN_MS },
    drainMs: config.drainMs,
    environment: (slot, generation) => workerEnvironment({ slot, generation, redisUrl, sessionSecretFile: secretFile }),
    onPid: (pid, alive) => watchdog.note('worker', pid, alive),
    metrics: () => metrics.read(supervisor),
    log
  })
  metrics.watch(supervisor)
  const commands = new Commands({
    supervisor,
    version,
    scheduling: config.scheduling,
    lameDuckMs: config.lameDuckMs,
    drainMs: config.drainMs
  })

  let leaving = false
  const leave = async (code: number, why: string) => {
    if (leaving) return
    leaving = true
    log[code === 0 ? 'info' : 'fatal']({ code, why }, 'the service ends')
    supervisor.cut()
    await redis?.stop()
    releaseRunDir()
    process.exit(code)
  }
  supervisor.once('exit', (code, why) => {
    if (code === 'cannot-boot') process.stderr.write(`muster: ${why}\n`)
    void leave(code === 'drained' ? 0 : EXIT_CONFIG, why)
  })
  handleSignals(commands, (why) => void leave(1, why), log)

  try {
    const closeAdminSocket = await openAdminSocket(config.adminSocket, commands)
    supervisor.once('exit', closeAdminSocket)
    if (!redisUrl) {
      redis = await startEmbeddedRedis({
        runDir: config.runDir,
        cacheDir: config.cacheDir,
        path: config.searchPath,
        log,
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
    const port =
      config.scheduling === 'rr'
        ? await supervisor.dispatcher.listen(config.port, config.host).catch((error: NodeJS.ErrnoException) => {
            throw listenFault(error, config.host, config.port)
          })
        : config.port
    log.info(
      { version, port, host: config.host, workers: config.workers, scheduling: config.scheduling, pid: process.pid },
      'muster starts'
    )
    supervisor.reconcile()
  } catch (error) {
    await redis?.stop()
    releaseRunDir()
    throw error
  }
}
