import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { Counters } from '../../src/state/hits.ts'
import { RedisLink } from '../../src/state/redis.ts'

/** What the workers of one window did, together. */
export interface FleetSample {
  readonly workers: number
  /** Answered, a second, and batches a second; of all workers. */
  readonly perSecond: number
  readonly batches: number
  /** Mean of what a batch took, in seconds. */
  readonly roundTrip: number
  readonly refused: number
}

const patienceMs = 10_000

/** The batching of many workers, as it is, in one process: each has its own connection to Redis. */
export class Fleet {
  readonly #links: RedisLink[]
  readonly #network: ChildProcess | undefined

  private constructor(links: RedisLink[], network: ChildProcess | undefined) {
    this.#links = links
    this.#network = network
  }

  /** @param delayMs what the network adds to a round trip */
  static async open(redisUrl: string, workers: number, delayMs: number): Promise<Fleet> {
    const network = delayMs > 0 ? await openNetwork(redisUrl, delayMs) : undefined
    const url = network?.url ?? redisUrl
    const log = pino({ level: 'silent' })
    const links = Array.from({ length: workers }, () => new RedisLink(url, patienceMs, log))
    await Promise.all(links.map((one) => one.start(async () => {})))
    return new Fleet(links, network?.child)
  }

  /** So many requests a second at each worker, at random, for so many seconds. */
  async run(rate: number, seconds: number): Promise<FleetSample> {
    let batches = 0
    let batchMs = 0
    let [asked, answered, refused] = [0, 0, 0]
    const counters = this.#links.map((link) => {
      link.onCommand = (name, ms) => {
        // all else is a probe of an idle link
        if (!/^eval/.test(name)) return
        batches++
        batchMs += ms
      }
      return new Counters(link, 60_000).get('simulated')
    })
    const yes = () => answered++
    const no = () => refused++
    const begun = performance.now()
    const end = begun + seconds * 1000
    for (let last = begun; last < end; ) {
      // by timers they would come in bursts, a millisecond apart
      await nextTurn()
      const now = performance.now()
      for (let n = poisson((rate * counters.length * (now - last)) / 1000); n > 0; n--) {
        asked++
        counters[Math.floor(Math.random() * counters.length)]!.increment().then(yes, no)
      }
      last = now
    }
    const took = (performance.now() - begun) / 1000
    const sample = {
      workers: counters.length,
      perSecond: answered / took,
      batches: batches / took,
      roundTrip: batchMs / batches / 1000,
      refused
    }
    // nothing of it is to be under way in the next window
    while (answered + refused < asked) await sleep(10)
    return sample
  }

  close(): void {
    for (const link of this.#links) link.stop()
    this.#network?.kill('SIGKILL')
  }
}

/** A way to Redis whose round trips take so much longer. */
async function openNetwork(redisUrl: string, delayMs: number): Promise<{ url: string; child: ChildProcess }> {
  const { hostname, port } = new URL(redisUrl)
  const child = fork(fileURLToPath(new URL('./delay-child.js', import.meta.url)), {
    stdio: ['ignore', 2, 2, 'ipc'],
    env: { ...process.env, DELAY: String(delayMs), TARGET_HOST: hostname, TARGET_PORT: port || '6379' }
  })
  const [told] = (await once(child, 'message')) as [{ port: number }]
  return { url: `redis://127.0.0.1:${told.port}`, child }
}

/** A random number of events when so many are expected (Knuth; in parts, since e^-mean becomes 0 for a large mean). */
export function poisson(mean: number): number {
  let events = 0
  for (let left = mean; left > 0; left -= 30) {
    const limit = Math.exp(-Math.min(left, 30))
    for (let product = Math.random(); product > limit; product *= Math.random()) events++
  }
  return events
}
