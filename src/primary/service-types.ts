// Apart from the code, so that the types of the package reach no internal ones.

/** The service, for a program that has started it. */
export interface Service {
  /** The TCP port; undefined for a Unix socket. */
  port: number | undefined
  /** Resolves when all workers are ready, and know that the service is. */
  ready: Promise<void>
  /** Drains the workers and ends this process. */
  stop(): void
}

/** What `muster dev` adds to a service. */
export interface DevelopmentOptions {
  /** Files and folders to watch beside what the workers load. */
  watch: readonly string[]
  /** Where debuggers connect; undefined: workers have no inspector. */
  inspect: { host: string; port: number } | undefined
}
