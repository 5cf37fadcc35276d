import type { TestContext } from 'node:test'
import { pino } from 'pino'
import type { ReloadOutcome } from '../../src/admin/command-context.ts'
import type { JournalEvent } from '../../src/admin/journal-file.ts'
import { askThroughWorkers } from '../../src/primary/hosts/ask-hosts.ts'
import { RolloutTurns, type RolloutTurnsOptions } from '../../src/primary/hosts/rollout-turns.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { answerHostRequests } from '../../src/worker/host-requests.ts'
import type { PrimaryChannel } from '../../src/worker/primary-client.ts'
import { cleanup } from './cleanup.ts'
import { startRedis } from './redis.ts'

/** Short enough for a test, and long enough that a busy machine does not lose a lease. */
export const TIMES = { leaseMs: 6000, pollMs: 50, maxAwayMs: 1000, forcedAwayMs: 300 }

export interface TestHost {
  turns: RolloutTurns
  ask: ReturnType<typeof askThroughWorkers>
  connection: RedisConnection
  /** The id of the release on disk. */
  release: string
  /** Ends the rollout in progress. */
  end: (outcome: ReloadOutcome['outcome'], why?: string) => void
  /** Lets the rollout in progress wait for an operator. */
  hold: (outcome: ReloadOutcome) => void
  isRolling: boolean
  isStopping: boolean
  journal: JournalEvent[]
}

/** A Redis, and hosts that take turns by it: everything but the processes and the rollouts, which the test ends. */
export async function startHosts(t: TestContext) {
  const hosts: TestHost[] = []
  const redis = await startRedis(t)
  cleanup(t, () => {
    for (const host of hosts) {
      host.isStopping = true
      host.end('stopped')
      host.connection.stop()
    }
  })
  const open = async (name: string, url = redis.url, times = TIMES): Promise<TestHost> => {
    const log = pino({ level: 'silent' })
    const connection = new RedisConnection(url, 500, log)
    const answers = new Map<string, (args: object) => Promise<unknown>>()
    const respond = (request: string, answer: (args: object) => Promise<unknown>) => void answers.set(request, answer)
    answerHostRequests({ respond } as unknown as PrimaryChannel, connection)
    const channel = { request: (request: string, args: object) => answers.get(request)!(args) }
    const peer = { status: 'ready', redisUp: true, channel }
    const ask = askThroughWorkers(() => [peer] as unknown as ReturnType<Parameters<typeof askThroughWorkers>[0]>, 5000)
    const host = {
      ask,
      connection,
      release: '1.0.0-aa',
      end: () => {},
      isRolling: false,
      isStopping: false
    } as unknown as TestHost
    host.journal = []
    const roll: RolloutTurnsOptions['roll'] = (_request, onHeld) =>
      new Promise<ReloadOutcome>((resolve) => {
        host.hold = onHeld
        host.isRolling = true
        host.end = (outcome, why) => {
          host.isRolling = false
          resolve({ outcome, generation: 2, durationMs: 1, ...(why !== undefined && { why }) })
        }
      })
    host.turns = new RolloutTurns({
      host: name,
      id: `${name}-1`,
      ask,
      release: () => host.release,
      roll,
      fail: (cause) => host.end('failed', cause),
      generation: () => 1,
      isStopping: () => host.isStopping,
      onRequested: () => {},
      onRefused: () => {},
      journal: (event) => void host.journal.push(event),
      log,
      times
    })
    hosts.push(host)
    await connection.start(async () => {})
    return host
  }
  return { ...redis, open }
}
