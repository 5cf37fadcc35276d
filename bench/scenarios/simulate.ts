import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { SHORTEST_PAUSE_MS } from '../../src/state/redis/batcher.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { Counters } from '../../src/state/shared/counters.ts'
import { poisson } from '../random.ts'
import { infoOf, Monitor } from '../redis.ts'
import { sampleTable } from '../report.ts'
import { BenchError, type Sample, type Scenario } from '../scenario.ts'

const ROUND_TRIPS_MS = [2, 5, 20]
const RATES = [10, 100, 1000, 4000]
/** Many workers on one Redis without a network between. */
const FLEETS = [1, 10, 100, 300]
const FLEET_RATE = 500
const CEILINGS = [
  { clients: 1, depth: 1 },
  { clients: 100, depth: 1 },
  { clients: 1000, depth: 1 },
  { clients: 100, depth: 32 }
]
const TIMEOUT_MS = 10_000
const COLUMNS = [
  { head: 'requests/s of a worker', value: 'rate', digits: 0 },
  { head: 'a batch took ms', value: 'batchMs', digits: 2 },
  { head: 'batches/s of a worker', value: 'batches', digits: 1 },
  { head: 'by the formula', value: 'formula', digits: 1 },
  { head: 'measured / formula', value: 'ratio', digits: 2 },
  { head: 'requests per batch', value: 'size', digits: 1 }
]
const CEILING_COLUMNS = [
  { head: 'batches/s', value: 'perSecond', digits: 0 },
  { head: 'Redis CPU µs each', value: 'cpu', digits: 1 },
  { head: 'batches/s of a dedicated core', value: 'perCore', digits: 0 }
]

export const simulate: Scenario = {
  summary:
    'batches of many workers against a distant Redis, compared with the formula in docs/explanation/performance.md',
  defaults: { workers: 8, seconds: 2, rounds: 1 },
  async run({ settings: { workers, seconds }, redis }) {
    const { url } = await redis()
    const samples: Sample[] = []
    const network = `${workers} workers and a network`
    const crowd = `Many workers, ${FLEET_RATE} requests/s each, no network`
    const ceiling = 'What one Redis can take'
    for (const delayMs of ROUND_TRIPS_MS) {
      for (const rate of RATES) {
        samples.push(await measureFleet(network, `${delayMs} ms, ${rate}/s`, { url, workers, delayMs, rate, seconds }))
      }
    }
    for (const many of FLEETS) {
      const fleet = { url, workers: many, delayMs: 0, rate: FLEET_RATE, seconds }
      samples.push(await measureFleet(crowd, `${many} workers`, fleet))
    }
    const command = await batchCommand(url)
    for (const { clients, depth } of CEILINGS) {
      const values = await measureCeiling(url, command, { clients, depth, seconds })
      samples.push({ table: ceiling, subject: `${clients} connections, ${depth} in flight on each`, values })
    }
    const parts = [
      `### ${network}\n\n${sampleTable(samples, network, COLUMNS, 'round trip and rate')}`,
      `### ${crowd}\n\n${sampleTable(samples, crowd, COLUMNS, 'workers')}`,
      `### ${ceiling}\n\n${sampleTable(samples, ceiling, CEILING_COLUMNS, 'clients')}`
    ]
    return { samples, report: [`Windows of ${seconds} s.`, ...parts].join('\n\n') }
  }
}

/**
 * Batches per second that one worker sends. One batch is in flight at a time; the next leaves with the reply if a request
 * came meanwhile, or with the first request, `1 / rate` later on average. Requests come at random (Poisson), so none comes
 * within a round trip with probability e^(-rate × roundTrip).
 * @param rate requests per second of this worker @param roundTrip seconds from one batch to the next
 */
export function batchesPerSecond(rate: number, roundTrip: number): number {
  return rate > 0 ? 1 / (roundTrip + Math.exp(-rate * roundTrip) / rate) : 0
}

interface FleetSettings {
  readonly url: string
  readonly workers: number
  /** What the network adds to a round trip. */
  readonly delayMs: number
  /** Requests per second of each worker. */
  readonly rate: number
  readonly seconds: number
}

/** The real batching code of many workers in one process, each with its own Redis connection. */
async function measureFleet(table: string, subject: string, settings: FleetSettings): Promise<Sample> {
  const { workers, delayMs } = settings
  const network = delayMs > 0 ? await startNetwork(settings.url, delayMs) : undefined
  const log = pino({ level: 'silent' })
  const connections = Array.from(
    { length: workers },
    () => new RedisConnection(network?.url ?? settings.url, TIMEOUT_MS, log)
  )
  try {
    await Promise.all(connections.map((connection) => connection.start(async () => {})))
    await sendAtRandom(connections, { ...settings, seconds: 0.5 })
    const { answered, refused, batches, batchMs, seconds } = await sendAtRandom(connections, settings)
    const rate = answered / seconds / workers
    const each = batches / seconds / workers
    const formula = batchesPerSecond(rate, batchMs / batches / 1000 + SHORTEST_PAUSE_MS / 1000)
    console.error(`${subject}, ${workers} workers: ${Math.round(each * workers)} batches/s`)
    const values = { rate, batchMs: batchMs / batches, batches: each, formula, ratio: each / formula }
    return { table, subject, values: { ...values, size: answered / batches }, failures: refused ? { refused } : {} }
  } finally {
    for (const connection of connections) connection.stop()
    network?.server.close()
  }
}

async function sendAtRandom(connections: RedisConnection[], { rate, seconds }: FleetSettings) {
  let [sent, answered, refused, batches, batchMs] = [0, 0, 0, 0, 0]
  const counters = connections.map((connection) => {
    connection.onCommand = (name, ms) => {
      // Other commands are probes of an idle connection.
      if (!/^(muster|eval)/.test(name)) return
      batches++
      batchMs += ms
    }
    // One process contains all workers and makes the requests, so that it is always busy; a real worker is not.
    return new Counters(connection, () => false).get('simulated')
  })
  const begun = performance.now()
  const end = begun + seconds * 1000
  for (let last = begun; last < end; ) {
    // With timers requests would come in bursts, one millisecond apart.
    await nextTurn()
    const now = performance.now()
    for (let n = poisson((rate * counters.length * (now - last)) / 1000); n > 0; n--) {
      sent++
      const counter = counters[Math.floor(Math.random() * counters.length)]!
      counter.increment().then(
        () => answered++,
        () => refused++
      )
    }
    last = now
  }
  const took = (performance.now() - begun) / 1000
  const counts = { answered, batches, batchMs }
  // Nothing of this window may be in flight in the next one.
  while (answered + refused < sent) await sleep(10)
  return { ...counts, refused, seconds: took }
}

/** A TCP proxy to Redis that delays each reply, like a network with that round trip. */
async function startNetwork(redisUrl: string, delayMs: number) {
  const { hostname, port } = new URL(redisUrl)
  const server = createServer({ noDelay: true }, (client) => {
    const redis = connect({ host: hostname, port: Number(port || 6379), noDelay: true })
    client.pipe(redis).on('data', (chunk) => setTimeout(() => client.destroyed || client.write(chunk), delayMs))
    client.on('error', () => redis.destroy()).on('close', () => redis.destroy())
    redis.on('error', () => client.destroy()).on('close', () => client.destroy())
  }).listen(0, '127.0.0.1', 4096)
  await once(server, 'listening')
  return { url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

const UUID = /[0-9a-f]{8}-[0-9a-f-]{27}/

/** Makes the command of a worker's nth batch, modelled on two commands of the service that MONITOR has shown. */
async function batchCommand(url: string): Promise<(worker: string, sequence: number) => string[]> {
  const monitor = await Monitor.open(url)
  const connection = new RedisConnection(url, 5000, pino({ level: 'silent' }))
  try {
    const seen: string[][] = []
    monitor.onCommand = (words) => {
      if (/^evalsha$/i.test(words[0] ?? '')) seen.push(words)
    }
    await connection.start(async () => {})
    if (!connection.up) await once(connection, 'change')
    const counter = new Counters(connection).get('ceiling')
    // The first batch may be sent with the text of the script.
    while (seen.length < 2) await counter.increment()
    const [first, second] = seen.slice(-2) as [string[], string[]]
    const sequenceAt = second.findIndex((word, i) => Number(word) === Number(first[i]) + 1)
    if (sequenceAt < 0 || !second.some((word) => UUID.test(word))) throw new BenchError(`no batch: ${second.join(' ')}`)
    return (worker, sequence) => second.with(sequenceAt, String(sequence)).map((word) => word.replace(UUID, worker))
  } finally {
    monitor.close()
    connection.stop()
  }
}

/** Sends batches over plain sockets, because a client library would be slower than Redis. */
async function measureCeiling(
  url: string,
  command: (worker: string, sequence: number) => string[],
  { clients, depth, seconds }: { clients: number; depth: number; seconds: number }
) {
  const { hostname, port } = new URL(url)
  const cpuOf = async () => (await infoOf(url, 'cpu', 'used_cpu_user')) + (await infoOf(url, 'cpu', 'used_cpu_sys'))
  const sockets: Socket[] = []
  let answers = 0
  try {
    for (let n = 0; n < clients; n++) {
      const socket = connect({ host: hostname, port: Number(port || 6379), noDelay: true })
      await once(socket, 'connect')
      sockets.push(socket)
    }
    const before = await cpuOf()
    const begun = performance.now()
    for (const socket of sockets) keepInFlight(socket, command, depth, () => answers++)
    await sleep(seconds * 1000)
    const perSecond = (answers * 1000) / (performance.now() - begun)
    const cpu = (((await cpuOf()) - before) * 1e6) / answers
    return { perSecond, cpu, perCore: 1e6 / cpu }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** Keeps `depth` batches of one worker in flight. */
function keepInFlight(
  socket: Socket,
  command: (worker: string, sequence: number) => string[],
  depth: number,
  answered: () => void
): void {
  let sequence = 0
  const worker = randomUUID()
  const send = (count: number) =>
    socket.write(Array.from({ length: count }, () => encode(command(worker, ++sequence))).join(''))
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    if (chunk.includes('-')) return void socket.destroy(new Error(chunk))
    const count = chunk.split('\n').length - 1
    for (let n = 0; n < count; n++) answered()
    send(count)
  })
  send(depth)
}

const encode = (words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
