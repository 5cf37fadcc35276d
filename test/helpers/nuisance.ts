import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from './cleanup.ts'
import { head } from './http.ts'

const json = (length: number) => ({ 'content-type': 'application/json', 'content-length': String(length) })

/** Requests that no correct client sends. */
const NUISANCES = [
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'no such thing\r\n\r\n',
  'GET / HTTP/1.1\r\n\r\n',
  'GET / HTTP/9.9\r\nhost: x\r\n\r\n',
  head('GET', `/${'x'.repeat(9000)}`),
  head('GET', '/hits', { long: 'x'.repeat(20_000) }),
  head('POST', '/hits', { ...json(2), 'transfer-encoding': 'chunked' }),
  `${head('POST', '/hits', json(5))}{"a":`,
  `${head('POST', '/hits', json(70_000))}${'x'.repeat(70_000)}`,
  head('CONNECT', 'example.com:443'),
  head('GET', '/nowhere'),
  head('GET', '/hits', { cookie: `sid=${'%'.repeat(2000)}` }),
  head('GET', '/livez').repeat(50),
  head('GET', '/much'),
  ''
]

/** Bad clients: each sends one of these every so often and leaves, in order or not, soon or at once. */
export class Nuisance {
  sent = 0
  readonly #clients: Promise<void>[]
  #stopping = false

  constructor(t: { after(fn: () => unknown): void }, port: number, clients: number) {
    cleanup(t, () => this.stop())
    this.#clients = Array.from({ length: clients }, () => this.#client(port))
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients)
  }

  async #client(port: number): Promise<void> {
    while (!this.#stopping) {
      const text = NUISANCES[this.sent++ % NUISANCES.length]!
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
        socket.on('error', () => {}).on('close', () => resolve())
        if (Math.random() < 0.5) socket.resume()
        setTimeout(() => (Math.random() < 0.5 ? socket.destroy() : socket.resetAndDestroy()), Math.random() * 300)
      })
      await sleep(20)
    }
  }
}
