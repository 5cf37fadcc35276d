import {
  FAULTS,
  type FaultName,
  type Observations,
  type RedisSeen,
  type ReloadSeen,
  type Step,
  type WorkerEnd
} from '../../src/drill/observations.ts'

export const goodReload: ReloadSeen = { outcome: 'done', before: [1, 1], after: [2, 2] }
export const goodWorker: WorkerEnd = { slot: 1, why: 'SIGKILL', replacedMs: 300, limitMs: 25_000, mustEnd: true }
export const goodRedis: RedisSeen = {
  limitMs: 1100,
  answers: 50,
  slow: 0,
  slowestMs: 1010,
  unclear: 0,
  liveness: 20,
  livenessFailed: 0,
  resumedMs: 200,
  unaffected: false
}

const SEEN: Record<FaultName, Partial<Step>> = {
  kill: { worker: goodWorker },
  stop: {},
  hang: { worker: goodWorker },
  memory: { worker: { ...goodWorker, mustEnd: false } },
  'redis-cut': { redis: goodRedis },
  'redis-stop': { redis: goodRedis },
  'redis-kill': { redis: goodRedis },
  'slow-clients': { slow: { clients: 20, closed: 20, limitMs: 20_000 } },
  'bad-release': { reload: { outcome: 'failed', why: 'the worker crashed', before: [1, 1], after: [1, 1] } },
  reload: { reload: goodReload }
}

const stepOf = (fault: Step['fault'], seen: Partial<Step> = {}): Step => ({
  fault,
  ms: 2000,
  load: { answered: 500, failed: {}, closed: 0, late: 0, slowestMs: 30 },
  ...seen
})

/** What a drill sees of a service that keeps every promise. */
export const goodDrill = (changes: Partial<Observations> = {}): Observations => ({
  service: {
    version: '0.1.0',
    url: 'http://localhost:8080',
    workers: 2,
    scheduling: 'rr',
    redis: 'embedded',
    isSecure: false,
    closesConnections: false
  },
  steps: [stepOf('rest'), ...FAULTS.map((fault) => stepOf(fault, SEEN[fault]))],
  hits: { answered: 100, failed: 2, duplicates: 0, counted: 101 },
  session: { answered: 60, failed: 0, duplicates: 0, counted: 60, signOut: { before: 60, after: 1 } },
  metrics: { scrapes: 80, late: 0, limitMs: 1500, slowestMs: 70, decreased: [] },
  differences: [],
  ...changes
})

/** The same with something else seen of one fault. */
export const withStep = (fault: FaultName, changes: Partial<Step>): Observations =>
  goodDrill({ steps: goodDrill().steps.map((step) => (step.fault === fault ? { ...step, ...changes } : step)) })
