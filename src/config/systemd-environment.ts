/** The first descriptor that systemd passes: SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_LISTEN_FD = 3

/** Variables that systemd sets for the process it starts. They are not settings, so they are not in the schema. */
const SYSTEMD_VARIABLES = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES'
]

export interface SystemdEnvironment {
  /** A descriptor that listens already, to be used instead of HOST and PORT; undefined: none was passed. */
  listenFd: number | undefined
  systemd: {
    /** Where the state of the service is reported: a path, or `@` and an abstract name; undefined: nowhere. */
    notifySocket: string | undefined
    /** systemd restarts a service that gives no sign of life for this time, in ms; undefined: it does not watch. */
    watchdogMs: number | undefined
  }
}

/**
 * Reads what systemd tells the process that it starts: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). Variables
 * whose pid names another process are ignored.
 */
export function readSystemd(environment: NodeJS.ProcessEnv, issues: string[]): SystemdEnvironment {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES } = environment
  const self = String(process.pid)
  const micros = WATCHDOG_USEC && (!WATCHDOG_PID || WATCHDOG_PID === self) ? WATCHDOG_USEC : undefined
  if (micros !== undefined && !/^[1-9]\d*$/.test(micros)) {
    issues.push(`WATCHDOG_USEC: must be a number of microseconds, not ${JSON.stringify(micros)}`)
  }
  const passed = (LISTEN_PID === self && LISTEN_FDS) || '0'
  if (passed !== '0' && passed !== '1') {
    issues.push(`LISTEN_FDS: muster takes one stream socket, not ${passed} (${LISTEN_FDNAMES || 'unnamed'})`)
  }
  return {
    listenFd: passed === '1' ? FIRST_LISTEN_FD : undefined,
    systemd: {
      notifySocket: NOTIFY_SOCKET || undefined,
      watchdogMs: micros === undefined ? undefined : Number(micros) / 1000
    }
  }
}

/** Removes the variables of systemd from this process's environment, which every child process inherits. */
export function withholdFromChildren(environment: NodeJS.ProcessEnv = process.env): void {
  for (const name of SYSTEMD_VARIABLES) delete environment[name]
}
