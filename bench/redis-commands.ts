import { Redis } from 'ioredis'

/** Redis commands: those that clients sent, and those that scripts ran inside Redis. */
export interface Commands {
  readonly sent: number
  readonly inScripts: number
}

/**
 * Counts what Redis is asked, by MONITOR: INFO counts what a script runs as if a client had sent it. Watching slows Redis
 * down, so nothing is timed meanwhile.
 */
export class CommandCounter {
  readonly #monitor: Redis
  #sent = 0
  #inScripts = 0

  private constructor(monitor: Redis) {
    this.#monitor = monitor
    monitor.on('monitor', (_time: string, _command: string[], source: string) => {
      if (source === 'lua') this.#inScripts++
      else this.#sent++
    })
  }

  static async open(url: string): Promise<CommandCounter> {
    const client = new Redis(url)
    try {
      return new CommandCounter(await client.monitor())
    } finally {
      client.disconnect()
    }
  }

  /** What has been seen so far. */
  seen(): Commands {
    return { sent: this.#sent, inScripts: this.#inScripts }
  }

  close(): void {
    this.#monitor.disconnect()
  }
}
