import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { startReplicated } from '../redis.ts'
import { sampleTable, table } from '../report.ts'
import type { Sample, Scenario } from '../scenario.ts'
import { muster, startProgram } from '../servers.ts'

/** At most half of what an IPC channel allows at once. */
const AT_A_TIME = 16
const COST = 'Cost of one operation'
const SURVIVES = ['a worker', 'a reload', 'the primary', 'a restart of Redis', 'on all hosts']
/** What each way is, and what a state that is kept there survives. The operations are in apps/state.ts. */
const WAYS: Readonly<Record<string, readonly [about: string, ...survives: string[]]>> = {
  local: ['a local variable', 'no', 'no', 'no', 'yes', 'no'],
  ipc: ['state of the primary, read by IPC', 'yes', 'yes', 'no', 'yes', 'no'],
  setting: ['`app.shared.settings`, replicated', 'yes', 'yes', 'yes', 'yes', 'yes'],
  incr: ['Redis, an `INCR` per request', 'yes', 'yes', 'yes', 'yes, from its file', 'yes'],
  counter: ['Redis in batches: `app.shared.counter`', 'yes', 'yes', 'yes', 'yes, from its file', 'yes'],
  confirmed: ['the same with `REDIS_DURABILITY=replicas:1`', 'yes', 'yes', 'yes', 'yes, and a failover', 'yes']
}
const COLUMNS = [
  { head: 'alone: p50 µs', value: 'aloneP50', digits: 3 },
  { head: 'p99 µs', value: 'aloneP99', digits: 3 },
  { head: `${AT_A_TIME} at a time: p50 µs`, value: 'p50', digits: 3 },
  { head: 'p99 µs', value: 'p99', digits: 3 },
  { head: 'operations/s', value: 'perSecond', digits: 0 },
  { head: 'worker CPU µs each', value: 'cpu', digits: 3 }
]

export const state: Scenario = {
  summary: 'the cost of one operation on a state, by where the state is kept',
  defaults: { seconds: 2, workers: 1 },
  async run({ settings: { rounds, seconds, workers }, redis, folder }) {
    const { url: redisUrl } = await redis()
    const start = (name: string, url: string, env: Record<string, string> = {}) =>
      startProgram(
        { name, ...muster({ MAX_LOOP_DELAY: '0', ...env }, './apps/state.js') },
        { workers, redisUrl: url, folder }
      )
    const server = await start('state', redisUrl)
    const confirming = await start('confirmed', await startReplicated(folder), { REDIS_DURABILITY: 'replicas:1' })
    const measure = async (way: string, concurrency: number) => {
      const { url } = way === 'confirmed' ? confirming : server
      const query = `${url}/measure?way=${way}&seconds=${seconds}&concurrency=${concurrency}`
      // A connection that is kept may be closed while the other server is measured.
      const [response] = (await once(get(query, { agent: false }), 'response')) as [IncomingMessage]
      return (await json(response)) as Record<string, number>
    }
    const samples: Sample[] = []
    // Round 0 only warms up.
    for (let round = 0; round <= rounds; round++) {
      for (const [way, [subject]] of Object.entries(WAYS)) {
        const { p50: aloneP50 = Number.NaN, p99: aloneP99 = Number.NaN } = await measure(way, 1)
        const values = { aloneP50, aloneP99, ...(await measure(way, AT_A_TIME)) }
        if (round > 0) samples.push({ table: COST, subject, values })
      }
      console.error(`round ${round}/${rounds}`)
    }
    await Promise.all([server.stop(), confirming.stop()])
    const how = `One worker and its primary, medians of ${rounds} interleaved rounds of ${seconds} s.`
    const survival = table(
      ['state', ...SURVIVES],
      Object.values(WAYS).map((way) => [...way]),
      SURVIVES
    )
    return { samples, report: [how, sampleTable(samples, COST, COLUMNS, 'state'), survival].join('\n\n') }
  }
}
