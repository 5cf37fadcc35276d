import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, Connection } from '../helpers/http.ts'
import type { Random } from '../helpers/random.ts'
import type { Operation } from '../history/operations.ts'
import type { Recorder } from '../history/recorder.ts'

/** The answer to a request that got none. */
const NO_ANSWER: Answer = { status: 0, headers: {}, body: '' }

/** Lets clients work, or holds them between two requests. */
export class Gate {
  isOver = false
  #opened = Promise.resolve()
  #busy = 0
  #onIdle: (() => void) | undefined

  /** Runs `act` while no client is between {@link enter} and {@link leave}. */
  async quietly(act: () => Promise<void>): Promise<void> {
    let open!: () => void
    this.#opened = new Promise((resolve) => {
      open = resolve
    })
    try {
      if (this.#busy > 0) {
        await new Promise<void>((resolve) => {
          this.#onIdle = resolve
        })
      }
      await act()
    } finally {
      open()
    }
  }

  async enter(): Promise<void> {
    // It may be closed again while this client waits.
    for (let opened: Promise<void> | undefined; opened !== this.#opened; await opened) opened = this.#opened
    this.#busy++
  }

  leave(): void {
    if (--this.#busy === 0) this.#onIdle?.()
  }
}

/** One client of one service, with one request at a time on a connection that it keeps. It never sends a request again. */
export class Client {
  readonly name: string
  readonly random: Random
  readonly #recorder: Recorder
  readonly #gate: Gate
  readonly #port: number
  #connection: Connection | undefined

  constructor(name: string, port: number, random: Random, { recorder, gate }: { recorder: Recorder; gate: Gate }) {
    this.name = name
    this.random = random
    this.#port = port
    this.#recorder = recorder
    this.#gate = gate
  }

  /** Begins an operation of this client. Its outcome is unknown until the recorder ends it. */
  begin(fields: Parameters<Recorder['begin']>[0]): Operation {
    return this.#recorder.begin(fields)
  }

  /**
   * Sends a request.
   * @param operation is dropped when there was no connection to send the request on
   * @returns status 0 when there was no answer
   */
  async ask(
    method: string,
    path: string,
    { cookie, operation }: { cookie?: string; operation?: Operation } = {}
  ): Promise<Answer> {
    await this.#gate.enter()
    try {
      if (!this.#connection || this.#connection.ended) this.#connection = await Connection.open(this.#port)
    } catch {
      if (operation) this.#recorder.drop(operation)
      this.#gate.leave()
      await sleep(100)
      return NO_ANSWER
    }
    try {
      return await this.#connection.request(method, path, cookie === undefined ? {} : { cookie })
    } catch {
      this.#connection = undefined
      return NO_ANSWER
    } finally {
      this.#gate.leave()
    }
  }

  /** Repeats a step, with pauses, until the run is over. */
  async repeat(maxPauseMs: number, step: () => Promise<unknown>): Promise<void> {
    while (!this.#gate.isOver) {
      await step()
      await sleep(this.random.between(0, maxPauseMs))
    }
    this.close()
  }

  close(): void {
    this.#connection?.close()
  }
}
