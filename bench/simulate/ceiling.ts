import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { Counters } from '../../src/state/hits.ts'
import { RedisLink } from '../../src/state/redis.ts'
import { Monitor } from '../monitor.ts'
import { infoOf } from '../redis.ts'

/** How many batches a second Redis takes from so many connections with so many in flight on each. */
export interface Ceiling {
  readonly clients: number
  readonly depth: number
  readonly perSecond: number
  /** CPU µs of Redis for one batch: 1e6 divided by it is what a core of its own can take. */
  readonly cpu: number
}

/** The command of a batch, as the service sends it: seen by MONITOR, so that it is the real one. */
export async function batchCommand(url: string): Promise<string[]> {
  const monitor = await Monitor.open(url)
  const link = new RedisLink(url, 5000, pino({ level: 'silent' }))
  try {
    const seen = new Promise<string[]>((resolve) => {
      monitor.onCommand = (words) => {
        if (/^evalsha$/i.test(words[0] ?? '')) resolve(words)
      }
    })
    await link.start(async () => {})
    if (!link.up) await once(link, 'change')
    const counter = new Counters(link, 60_000).get('ceiling')
    // the first one may have been sent with its whole text
    await counter.increment()
    await counter.increment()
    return await seen
  } finally {
    monitor.close()
    link.stop()
  }
}

/** Sends batches by hand, since a client library would be slower than Redis. */
export async function measureCeiling(
  url: string,
  command: readonly string[],
  { clients, depth, seconds }: { clients: number; depth: number; seconds: number }
): Promise<Ceiling> {
  const { hostname, port } = new URL(url)
  const sockets: Socket[] = []
  let answers = 0
  try {
    for (let n = 0; n < clients; n++) {
      const socket = connect({ host: hostname, port: Number(port || 6379), noDelay: true })
      await once(socket, 'connect')
      sockets.push(socket)
    }
    const cpuBefore = await cpuOf(url)
    const begun = performance.now()
    for (const socket of sockets) pump(socket, command, depth, () => answers++)
    await sleep(seconds * 1000)
    const took = (performance.now() - begun) / 1000
    const counted = answers
    const cpu = ((await cpuOf(url)) - cpuBefore) * 1e6
    return { clients, depth, perSecond: counted / took, cpu: cpu / answers }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** Keeps `depth` batches in flight; each has the next number, as those of a worker have. */
function pump(socket: Socket, command: readonly string[], depth: number, answered: () => void): void {
  let sequence = 0
  const memory = `{${command[3]}}:batch:${randomUUID()}`
  const next = () => encode([...command.slice(0, 4), memory, String(++sequence), ...command.slice(6)])
  const send = (count: number) => socket.write(Array.from({ length: count }, next).join(''))
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    if (chunk.includes('-')) return void socket.destroy(new Error(chunk))
    const count = chunk.split('\n').length - 1
    for (let n = 0; n < count; n++) answered()
    send(count)
  })
  send(depth)
}

const encode = (parts: readonly string[]): string =>
  `*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`

async function cpuOf(url: string): Promise<number> {
  return (await infoOf(url, 'cpu', 'used_cpu_user')) + (await infoOf(url, 'cpu', 'used_cpu_sys'))
}
