import { setTimeout as sleep } from 'node:timers/promises'
import { CookieJar } from './cookie-jar.ts'
import { type HttpConnection, NoAnswer } from './http-connection.ts'
import type { RequestRecorder } from './request-recorder.ts'
import type { DrillRequest } from './requests.ts'

/** Number of clients of each kind. */
const CLIENTS = { kept: 6, fresh: 2, pipelined: 1, slow: 2, session: 3 }
const PIPELINED = 4
/** A slow client sends its request in so many parts. */
const PARTS = 5
/** Pause of a client after each request. Without one, the drill would take a whole core and prove nothing more. */
const PAUSE_MS = 30
const PAUSE_AFTER_FAILURE_MS = 50

/** Clients that repeat requests until they are stopped. */
export class LoadClients {
  readonly #recorder: RequestRecorder
  readonly #clients: Promise<void>[] = []
  #turn = 0
  #isStopping = false

  constructor(recorder: RequestRecorder) {
    this.#recorder = recorder
  }

  /** @param requests are repeated in turn */
  start(requests: readonly DrillRequest[]): void {
    const next = () => requests[this.#turn++ % requests.length]!
    const ofSession = requests.filter(({ session }) => session !== undefined)
    const run = {
      kept: (jar: CookieJar) => this.#kept(jar, next),
      fresh: (jar: CookieJar) => this.#once(jar, next()),
      pipelined: (jar: CookieJar) => this.#pipelined(jar, next),
      slow: (jar: CookieJar) => this.#once(jar, next(), PARTS),
      session: () => this.#kept(this.#recorder.sessionJar, () => ofSession[this.#turn++ % ofSession.length]!)
    }
    for (const [kind, count] of Object.entries(CLIENTS) as [keyof typeof CLIENTS, number][]) {
      if (kind === 'session' && ofSession.length === 0) continue
      for (let i = 0; i < count; i++) {
        const jar = new CookieJar()
        this.#clients.push(this.#loop(() => run[kind](jar)))
      }
    }
  }

  /** Stops all clients, each after its current request. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(this.#clients)
  }

  async #loop(run: () => Promise<void>): Promise<void> {
    while (!this.#isStopping && !this.#recorder.isExhausted) {
      try {
        await run()
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error
        await sleep(PAUSE_AFTER_FAILURE_MS)
      }
    }
  }

  /** Sends one request after the other on one connection, for as long as the service keeps it open. */
  #kept(jar: CookieJar, next: () => DrillRequest): Promise<void> {
    return this.#use(async (connection) => {
      await this.#recorder.send(connection, next(), jar)
      await sleep(PAUSE_MS)
    })
  }

  /** Sends several requests at once on one connection. */
  #pipelined(jar: CookieJar, next: () => DrillRequest): Promise<void> {
    return this.#use(async (connection) => {
      const sent = Array.from({ length: PIPELINED }, () => this.#recorder.send(connection, next(), jar))
      const failed = (await Promise.allSettled(sent)).find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
      await sleep(PIPELINED * PAUSE_MS)
    })
  }

  async #use(run: (connection: HttpConnection) => Promise<void>): Promise<void> {
    const connection = await this.#recorder.connect()
    try {
      while (!this.#isStopping && !this.#recorder.isExhausted && !connection.ended) await run(connection)
      if (connection.wasClosedIdle) this.#recorder.closedIdle()
    } finally {
      connection.close()
    }
  }

  /** Sends one request on a connection of its own. */
  async #once(jar: CookieJar, request: DrillRequest, parts = 1): Promise<void> {
    const connection = await this.#recorder.connect()
    await this.#recorder.send(connection, request, jar, parts).finally(() => connection.close())
    await sleep(PAUSE_MS)
  }
}
