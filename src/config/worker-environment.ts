/** What systemd says to the process it starts, and to no other: not settings, so not in the schema. */
const OF_SYSTEMD = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']

/** Who a worker is, and which primary's: that one says it at the fork. */
export function loadIdentity(environment: NodeJS.ProcessEnv = process.env) {
  return {
    slot: Number(environment.MUSTER_SLOT),
    generation: Number(environment.MUSTER_GENERATION),
    instance: environment.MUSTER_INSTANCE ?? '',
    /** What sessions of TLS are resumed by; empty without TLS. */
    ticketKeys: Buffer.from(environment.MUSTER_TICKET_KEYS ?? '', 'base64')
  }
}

/** The variables that tell a forked worker who it is and what the primary has settled for all of them. */
export function workerEnvironment(worker: {
  slot: number
  generation: number
  app?: string | undefined
  /** No other primary's on any host. */
  instance: string
  redisUrl?: string | undefined
  sessionSecretFile?: string | undefined
  ticketKeys?: Buffer | undefined
}): Record<string, string> {
  return {
    MUSTER_SLOT: String(worker.slot),
    MUSTER_GENERATION: String(worker.generation),
    ...(worker.app && { APP: worker.app }),
    MUSTER_INSTANCE: worker.instance,
    // The primary has read the file.
    ...(worker.redisUrl && { REDIS_URL: worker.redisUrl, REDIS_URL_FILE: '' }),
    ...(worker.sessionSecretFile && { SESSION_SECRET_FILE: worker.sessionSecretFile }),
    ...(worker.ticketKeys && { MUSTER_TICKET_KEYS: worker.ticketKeys.toString('base64') })
  }
}

/** Takes what systemd says to this process out of the environment, which every child process gets a copy of. */
export function withholdFromChildren(environment: NodeJS.ProcessEnv = process.env): void {
  for (const name of OF_SYSTEMD) delete environment[name]
}
