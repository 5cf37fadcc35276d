import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** Redis commands: those that clients sent, and those that scripts ran inside Redis. */
export interface Commands {
  readonly sent: number
  readonly inScripts: number
}

const LINE = /^\+[\d.]+ \[\d+ (lua)?/

/**
 * Watches what Redis is asked, by MONITOR: INFO counts what a script runs as if a client had sent it. By hand, since
 * ioredis fails when the first lines come together with the answer to MONITOR. Watching slows Redis down, so nothing is
 * timed meanwhile.
 */
export class Monitor {
  /** Told the words of every command that a client sends. */
  onCommand: ((words: string[]) => void) | undefined
  readonly #socket: Socket
  #sent = 0
  #inScripts = 0

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Resolves when it watches. @param url of a Redis that is reached by TCP */
  static async open(url: string): Promise<Monitor> {
    const { hostname, port, username, password } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port || 6379) })
    await once(socket, 'connect')
    const monitor = new Monitor(socket)
    const lines = createInterface({ input: socket })
    const watching = once(lines, 'line')
    lines.on('line', (line) => monitor.#take(line))
    if (password) socket.write(`AUTH ${[username, password].filter(Boolean).map(decodeURIComponent).join(' ')}\r\n`)
    socket.write('MONITOR\r\n')
    await watching
    return monitor
  }

  /** What has been seen so far. */
  seen(): Commands {
    return { sent: this.#sent, inScripts: this.#inScripts }
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(line: string): void {
    const found = LINE.exec(line)
    if (!found) return
    if (found[1] !== undefined) this.#inScripts++
    else {
      this.#sent++
      this.onCommand?.([...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word))
    }
  }
}
