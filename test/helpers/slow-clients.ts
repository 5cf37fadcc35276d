import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { cleanup } from './cleanup.ts'
import { head } from './http.ts'

/** What a slow client sends at first, and then again and again. */
const KINDS = {
  /** A head without an end. */
  head: ['GET /livez HTTP/1.1\r\nhost: test\r\n', 'x: y\r\n'],
  body: [head('POST', '/hits', { 'content-type': 'application/json', 'content-length': '60000' }), ' '],
  /** Takes nothing of a large answer. */
  read: [head('GET', '/much'), '']
} as const

export type Kind = keyof typeof KINDS

const EVERY_MS = 400
const LOOK_MS = 100

export interface SlowClient {
  kind: Kind
  /** In ms of `performance.now()`. */
  since: number
  /** How long the server kept it, in ms. */
  keptMs?: number
}

/** Clients that take their time; each of them notes how long the server puts up with it. */
export class SlowClients {
  readonly all = new Map<Socket, SlowClient>()
  /** Between two looks at them: by so much what they note may be late. */
  longestGapMs = 0
  #lookedAt = performance.now()
  readonly #port: number
  readonly #timers: NodeJS.Timeout[] = []

  /** Ends with the test. */
  constructor(t: { after(fn: () => void): void }, port: number) {
    this.#port = port
    this.#timers.push(setInterval(() => this.#look(), LOOK_MS))
    cleanup(t, () => {
      for (const timer of this.#timers) clearInterval(timer)
      for (const socket of this.all.keys()) socket.destroy()
    })
  }

  async add(kind: Kind, count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, async () => {
        // Before the service can have seen it: it is never kept for longer than what is noted.
        const since = performance.now()
        const socket = connect(this.#port, '127.0.0.1')
        await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
        this.begin(kind, socket, since)
      })
    )
  }

  /** Makes a slow client of a connection that is there. */
  begin(kind: Kind, socket: Socket, since = performance.now()): void {
    const [first, again] = KINDS[kind]
    socket.on('error', () => {})
    if (kind === 'read') socket.pause()
    socket.write(first)
    this.all.set(socket, { kind, since })
    if (again === '') return
    const timer = setInterval(() => socket.writable && socket.write(again), EVERY_MS)
    this.#timers.push(timer)
    socket.once('close', () => clearInterval(timer))
  }

  get held(): number {
    return [...this.all.values()].filter(({ keptMs }) => keptMs === undefined).length
  }

  #look(): void {
    const kept = clientsOf(this.#port)
    const now = performance.now()
    this.longestGapMs = Math.max(this.longestGapMs, now - this.#lookedAt)
    this.#lookedAt = now
    for (const [socket, client] of this.all) {
      if (client.keptMs !== undefined || kept.has(socket.localPort ?? 0)) continue
      client.keptMs = now - client.since
      // A client that does not read keeps its end of a closed connection.
      socket.destroy()
    }
  }
}

/** Ports of the clients that are connected to this one, as the kernel says: who does not read does not learn of the end. */
export function clientsOf(port: number): Set<number> {
  const lines = readFileSync('/proc/net/tcp', 'latin1').matchAll(/^ *\d+: \w+:(\w+) \w+:(\w+) 01 /gm)
  const pairs = [...lines].map((found) => found.slice(1).map((hex) => Number.parseInt(hex, 16)))
  return new Set(pairs.flatMap(([local, remote]) => (local === port ? remote! : [])))
}
