/** The variable that takes the service options of a config file to the workers, as JSON. */
export const SERVICE_OPTIONS = 'MUSTER_SERVICE_OPTIONS'

/** Reads which worker this process is. The primary sets it at the fork. */
export function loadIdentity(environment: NodeJS.ProcessEnv = process.env) {
  return {
    slot: Number(environment.MUSTER_SLOT),
    generation: Number(environment.MUSTER_GENERATION),
    /** Identifies the primary. */
    instance: environment.MUSTER_INSTANCE ?? '',
    /** The number of the port that is open for the service; undefined for a Unix socket. */
    port: environment.MUSTER_PORT ? Number(environment.MUSTER_PORT) : undefined,
    /** The keys that TLS sessions are resumed with; empty without TLS. */
    ticketKeys: Buffer.from(environment.MUSTER_TICKET_KEYS ?? '', 'base64'),
    /** `muster dev` watches what the worker loads. */
    reportsImports: environment.MUSTER_REPORT_IMPORTS === '1',
    /** `service` of the config file. The worker checks it. */
    serviceOptions: JSON.parse(environment[SERVICE_OPTIONS] ?? '{}') as unknown
  }
}

/** The variables that tell a forked worker its identity and what the primary has decided for all workers. */
export function workerEnvironment(worker: {
  slot: number
  generation: number
  /** The path of the app; undefined: the example's routes. */
  app?: string | undefined
  /** Identifies the primary: no other primary on any host has the same. */
  instance: string
  /** The number of the port that the primary has opened. */
  port?: number | undefined
  /** The Redis to use in place of what the environment says. */
  redisUrl?: string | undefined
  sessionSecretFile?: string | undefined
  ticketKeys?: Buffer | undefined
  reportsImports?: boolean
}): Record<string, string> {
  return {
    MUSTER_SLOT: String(worker.slot),
    MUSTER_GENERATION: String(worker.generation),
    ...(worker.app && { APP: worker.app }),
    MUSTER_INSTANCE: worker.instance,
    ...(worker.port !== undefined && { MUSTER_PORT: String(worker.port) }),
    // The primary has read REDIS_URL_FILE already: both set would be an error.
    ...(worker.redisUrl && { REDIS_URL: worker.redisUrl, REDIS_URL_FILE: '' }),
    ...(worker.sessionSecretFile && { SESSION_SECRET_FILE: worker.sessionSecretFile }),
    ...(worker.reportsImports && { MUSTER_REPORT_IMPORTS: '1' }),
    ...(worker.ticketKeys && { MUSTER_TICKET_KEYS: worker.ticketKeys.toString('base64') })
  }
}
