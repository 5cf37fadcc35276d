import { Redis } from 'ioredis'

/** Redis commands: those that clients sent, and those that scripts ran inside Redis. */
export interface Commands {
  readonly sent: number
  readonly inScripts: number
}

/**
 * Counts what Redis is asked while `work` goes on, by MONITOR: INFO counts what a script runs as if a client had sent it.
 * Watching slows Redis down a little, so nothing is timed meanwhile.
 */
export async function countCommands<Result>(url: string, work: () => Promise<Result>): Promise<[Commands, Result]> {
  const client = new Redis(url)
  const monitor = await client.monitor()
  let sent = 0
  let inScripts = 0
  monitor.on('monitor', (_time: string, _command: string[], source: string) => {
    if (source === 'lua') inScripts++
    else sent++
  })
  try {
    const result = await work()
    // what it has seen comes in order: behind this, nothing of the work is left
    await client.ping()
    return [{ sent, inScripts }, result]
  } finally {
    monitor.disconnect()
    client.disconnect()
  }
}
