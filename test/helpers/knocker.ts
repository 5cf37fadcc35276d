import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cleans, cleanup } from './cleanup.ts'

const PAUSE_MS = 5

/** Opens a connection again and again, and counts those that are refused. */
export class Knocker {
  refused = 0
  opened = 0
  readonly #port: number
  #isStopping = false
  readonly #ended: Promise<void>

  constructor(t: Cleans, port: number) {
    this.#port = port
    this.#ended = this.#run()
    cleanup(t, () => this.stop())
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#ended
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      await new Promise<void>((resolve) => {
        const socket = connect(this.#port, '127.0.0.1')
        socket.once('connect', () => {
          this.opened++
          socket.destroy()
        })
        socket.on('error', ({ code }: NodeJS.ErrnoException) => {
          if (code === 'ECONNREFUSED') this.refused++
        })
        socket.once('close', () => resolve())
      })
      await sleep(PAUSE_MS)
    }
  }
}
