import { connect, type Socket } from 'node:net'
import { join } from 'node:path'

const TIMEOUT_MS = 2000

/** Sends single commands to the embedded Redis, each on a connection of its own. */
export class RedisCommands {
  readonly #path: string

  /** @param runDir the folder of the service, which contains the socket */
  constructor(runDir: string) {
    this.#path = join(runDir, 'redis.sock')
  }

  /**
   * Sends an inline command.
   * @returns the first line of the answer, and what arrived with it @throws Error when there is none in 2 s
   */
  ask(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket: Socket = connect(this.#path)
      const settle = (done: () => void) => {
        clearTimeout(timer)
        socket.destroy()
        done()
      }
      const fail = (message: string) => settle(() => reject(new Error(`Redis at ${this.#path}: ${message}`)))
      const timer = setTimeout(() => fail(`no answer in ${TIMEOUT_MS} ms`), TIMEOUT_MS)
      let text = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (isComplete(text)) settle(() => resolve(text))
      })
      socket.on('error', (error) => fail(error.message)).on('end', () => fail('it closed the connection'))
      socket.write(`${command}\r\n`)
    })
  }

  /** The process id of the server. @throws Error */
  async pid(): Promise<number> {
    const pid = Number(/^process_id:(\d+)/m.exec(await this.ask('INFO server'))?.[1])
    if (!(pid > 1)) throw new Error(`Redis at ${this.#path} does not tell its process id`)
    return pid
  }
}

/** A bulk answer is announced with its length; others are one line. */
function isComplete(text: string): boolean {
  const [, length] = /^\$(\d+)\r\n/.exec(text) ?? []
  return length === undefined ? text.endsWith('\r\n') : text.length >= length.length + 3 + Number(length) + 2
}
