import { EXIT_CONFIG } from '../common/errors.ts'
import { becomeInit } from './host/init-process.ts'
import type { RunDirectoryClaim } from './host/run-directory.ts'
import { handleSignals } from './host/signals.ts'
import { notifySystemd, readySlots } from './host/systemd.ts'
import type { Parts } from './primary-parts.ts'
import type { PrimaryUpgrades } from './upgrade/primary-upgrades.ts'
import type { SuccessorProcess } from './upgrade/successor-process.ts'

const EXIT_CODES = { drained: 0, 'crash-loop': 1, 'cannot-boot': EXIT_CONFIG } as const

type Exit = ReturnType<typeof createExit>

/** What only the primary in charge of the service does: it answers signals, and notifies systemd. */
export function createDuties({ config, supervisor, runner, log }: Parts, exit: Exit) {
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

/** @returns the ways in which the process ends; the first call counts */
export function createExit(
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
      const level = code === 0 ? 'info' : 'fatal'
      if (claim.isHeld) {
        log[level]({ code, why }, 'service ended')
        record({ event: 'stop', pid: process.pid, why, code })
      } else log[level]({ code, why }, 'primary ended')
      pool.killAll()
      if (code !== 0) upgrades.cut()
      await upgrades.othersEnded()
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
export function handleEnd({ log, supervisor, adminSocket }: Parts, exit: Exit): void {
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
