/** The faults of a drill, in the order in which they are tried. The reload comes last: it leaves workers that no fault has touched. */
export const FAULTS = [
  'kill',
  'stop',
  'hang',
  'memory',
  'redis-cut',
  'redis-stop',
  'redis-kill',
  'slow-clients',
  'bad-release',
  'reload'
] as const
export type FaultName = (typeof FAULTS)[number]

/** What a fault is, for people. */
export const FAULT_TEXTS: Readonly<Record<FaultName | 'rest', string>> = {
  rest: 'no fault',
  kill: 'SIGKILL of a worker',
  stop: 'SIGSTOP of a worker for 2 s, then SIGCONT',
  hang: 'SIGSTOP of a worker until it is replaced',
  memory: 'a worker that gets no more memory',
  'redis-cut': 'every connection to Redis is cut',
  'redis-stop': 'SIGSTOP of Redis for 3 s, then SIGCONT',
  'redis-kill': 'SIGKILL of Redis',
  'slow-clients': 'clients that never finish their request',
  'bad-release': 'a reload whose new worker ends before it serves',
  reload: 'a reload'
}

/** Why a request failed. `refused`: there was no connection; `cut`: the connection ended before the answer was complete. */
export type Failure = 'refused' | 'cut' | 'late' | `status ${number}`

/** The requests that ended while a fault lasted, until the service had recovered from it. */
export interface LoadCounts {
  answered: number
  /** Requests that failed, by reason. `late` means that the client gave up. */
  failed: Partial<Record<Failure, number>>
  /** Keep-alive connections that the service closed between two requests. */
  closed: number
  /** Answers that took longer than {@link LATE_MS}. */
  late: number
  /** Of all answers, without the time in which processes waited for a CPU. */
  slowestMs: number
}

/** An answer that takes longer counts as late, in ms. */
export const LATE_MS = 1000

export const noLoad = (): LoadCounts => ({ answered: 0, failed: {}, closed: 0, late: 0, slowestMs: 0 })

export const failuresOf = ({ failed }: LoadCounts): number =>
  Object.values(failed).reduce<number>((sum, count) => sum + (count ?? 0), 0)

/** A worker that a fault was to end. */
export interface WorkerEnd {
  slot: number
  /** The name of its exit in the journal; undefined: it did not end. */
  why?: string
  /** From the fault until another worker served in its slot; undefined: not within `limitMs`. */
  replacedMs?: number
  limitMs: number
  /** The worker was to end; false: it may live on. */
  mustEnd: boolean
}

/** How a reload ended. */
export interface ReloadSeen {
  outcome: string
  why?: string
  /** Generations of the workers that served before it and after it. */
  before: number[]
  after: number[]
}

/** What clients saw of Redis. */
export interface RedisSeen {
  /** REDIS_TIMEOUT + 100 ms. */
  limitMs: number
  /** Answers while Redis was away, and until the service had resumed. */
  answers: number
  /** Of these: slower than `limitMs`, without the time in which processes waited for a CPU. */
  slow: number
  slowestMs: number
  /** Of these: neither fine nor a 503 with `Retry-After` and the JSON of an error. */
  unclear: number
  /** Questions to /livez, and how many were not answered with 200. */
  liveness: number
  livenessFailed: number
  /** From the moment at which Redis answered again until a request that had failed succeeded; undefined: not within 30 s. */
  resumedMs?: number
  /** True when no request was refused. */
  unaffected: boolean
}

/** What became of clients that never finish a request. */
export interface SlowSeen {
  clients: number
  /** How many of them the service had closed in the end. */
  closed: number
  limitMs: number
}

export interface Step {
  fault: FaultName | 'rest'
  /** Why it was not tried. */
  skipped?: string
  ms: number
  load: LoadCounts
  worker?: WorkerEnd
  reload?: ReloadSeen
  redis?: RedisSeen
  slow?: SlowSeen
}

/** Numbers that a route gives, each of which must be given once. */
export interface NumbersSeen {
  /** Requests that were answered with a number. */
  answered: number
  /** Requests that failed and may have been counted. */
  failed: number
  duplicates: number
  /** The number of counts from the first number to the last one, both included. */
  counted: number
}

/** What was seen of one session that several clients used at once. */
export interface SessionSeen extends NumbersSeen {
  /** The number that the session had at the sign-out, and the one that its cookie got afterwards. Undefined: no route signs out. */
  signOut?: { before: number; after: number }
}

export interface MetricsSeen {
  scrapes: number
  /** Scrapes that no worker answered within `limitMs`. */
  late: number
  limitMs: number
  slowestMs: number
  /** Counters that decreased, with both values. */
  decreased: string[]
}

/** Everything that a drill has seen. The judgement follows from it alone. */
export interface Observations {
  service: {
    version: string
    url: string
    workers: number
    scheduling: string
    redis: 'embedded' | 'external' | 'off'
    isSecure: boolean
    /** MAX_REQUESTS_PER_CONNECTION: connections are closed in order anyway. */
    closesConnections: boolean
  }
  steps: Step[]
  /** A text says why nothing was seen. */
  hits: NumbersSeen | string
  session: SessionSeen | string
  metrics: MetricsSeen | string
  /** Differences between the service before and after the drill. */
  differences: string[]
}
