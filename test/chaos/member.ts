import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleans } from '../helpers/cleanup.ts'
import { shiftableClock } from '../helpers/clock.ts'
import { freePort, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import type { Random } from '../helpers/random.ts'
import {
  isAlive,
  type Line,
  muster,
  processesWith,
  type Service,
  startService,
  temporaryFolder
} from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import { primaryOf } from '../helpers/upgrades.ts'
import type { Fault } from './fault.ts'

export const WORKERS = 3
const HOUR_MS = 3_600_000
const PATIENCE_MS = 180_000
/** Longest time for which a process is stopped. It is below HEARTBEAT_TIMEOUT, so that stopped workers come back. */
const MAX_STOP_MS = 4000

/** Faults are to be about the state, so what else a crash of many workers leads to is off. */
const CALM = {
  QUARANTINE_DEATHS: '0',
  RESTART_BACKOFF: '500',
  BOOT_TIMEOUT: '120000',
  REDIS_TIMEOUT: '2000',
  LOG_LEVEL: 'info'
}
const isKept = ({ msg }: Line) => /^(worker (started|exited|ready)|muster started)$/.test(msg)

/** One of the services that share a Redis: a primary and three workers, which are killed, stopped, reloaded and upgraded. */
export class Member {
  readonly port: number
  readonly #t: Cleans
  readonly #runDir: string
  readonly #clock: string
  readonly #env: Record<string, string>
  #service!: Service

  private constructor(t: Cleans, port: number, env: Record<string, string>) {
    this.port = port
    this.#t = t
    this.#runDir = temporaryFolder(t)
    this.#clock = join(temporaryFolder(t), 'ahead-ms')
    const own = { APP: fixture('recorded'), PORT: String(port), NODE_OPTIONS: shiftableClock(this.#clock) }
    this.#env = { ...CALM, ...own, ...env }
  }

  static async start(t: Cleans, env: Record<string, string>): Promise<Member> {
    const member = new Member(t, await freePort(), env)
    await member.#start()
    return member
  }

  /** Resolves when every worker of the service can use Redis. */
  ready(): Promise<void> {
    const isReady = async () =>
      (await once(this.port, 'GET', '/readyz').catch(() => undefined))?.status === 200 &&
      this.#service.workers().size >= WORKERS
    return until(isReady, 'a ready service', PATIENCE_MS)
  }

  /** Ends the service in order. */
  async stop(): Promise<void> {
    const pids = processesWith(this.#runDir)
    await muster({ runDir: this.#runDir }, 'stop')
    await until(() => !pids.some(isAlive), 'the end of a service', PATIENCE_MS)
  }

  /** Faults of its workers. */
  workerFaults(): Fault[] {
    return [
      { name: 'SIGKILL of a worker', run: async (random) => signal(this.#anyWorker(random), 'SIGKILL') },
      { name: 'SIGSTOP of a worker', run: (random) => pause(this.#anyWorker(random), random) }
    ]
  }

  /** Faults of its primary, and what an operator does. */
  primaryFaults(): Fault[] {
    const command = (name: string) => muster({ runDir: this.#runDir }, name)
    return [
      { name: 'SIGKILL of a primary', run: () => this.#restart() },
      { name: 'SIGSTOP of a primary', run: (random) => pause(primaryOf({ runDir: this.#runDir }), random) },
      { name: 'reload', run: () => command('reload') },
      { name: 'upgrade', run: () => command('upgrade') },
      {
        name: 'clock shift',
        run: async (random) => writeFileSync(this.#clock, String(random.between(-HOUR_MS, HOUR_MS)))
      }
    ]
  }

  async #start(): Promise<void> {
    const options = { env: this.#env, workers: WORKERS, runDir: this.#runDir, keeps: isKept }
    this.#service = await startService(this.#t, options)
  }

  /** Kills the primary. When its workers have ended too, the service starts again. */
  async #restart(): Promise<void> {
    const pids = processesWith(this.#runDir)
    signal(primaryOf({ runDir: this.#runDir }), 'SIGKILL')
    await until(() => !pids.some(isAlive), 'the end of the workers', PATIENCE_MS)
    await this.#start()
  }

  #anyWorker(random: Random): number {
    const pids = [...this.#service.workers().keys()]
    return pids[random.between(0, pids.length - 1)] ?? 0
  }
}

/** Sends a signal, if the process is still there. */
function signal(pid: number, name: NodeJS.Signals): void {
  if (pid === 0) return
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Stops a process for a while. */
export async function pause(pid: number, random: Random): Promise<void> {
  signal(pid, 'SIGSTOP')
  await sleep(random.between(100, MAX_STOP_MS))
  signal(pid, 'SIGCONT')
}
