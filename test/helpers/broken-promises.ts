import type { Damage } from './broken-copy.ts'

/** A change that breaks a promise, and the fault by which a drill finds it. */
export interface Broken extends Damage {
  name: string
  promise: number
  faults: string
  env?: Record<string, string>
}

export const BROKEN: Broken[] = [
  {
    name: 'a reload closes connections instead of transferring them',
    promise: 1,
    file: 'primary/workers/worker-pool.js',
    from: 'transfer: transfer && !isIsolated,',
    to: 'transfer: false,',
    faults: 'reload'
  },
  {
    name: 'each hit is counted twice',
    promise: 2,
    file: 'state/shared/counter-batches.js',
    from: "local value = redis.call('INCRBY', KEYS[1], ARGV[3])",
    to: "redis.call('INCRBY', KEYS[1], ARGV[3])\nlocal value = redis.call('INCRBY', KEYS[1], ARGV[3])",
    faults: 'stop'
  },
  {
    name: 'hung workers are not looked for',
    promise: 5,
    file: 'primary/policy/plan.js',
    from: '.filter((worker) => !worker.killed && now >= examineAt(worker, limits))',
    to: '.filter(() => false)',
    faults: 'hang',
    env: { HEARTBEAT_TIMEOUT: '2000' }
  },
  {
    name: 'a worker that crashed has no successor',
    promise: 5,
    file: 'primary/policy/plan.js',
    from: '.filter((slot) => mayFork(state, slot, now))',
    to: '.filter((slot) => mayFork(state, slot, now) && !state.slots[slot])',
    faults: 'kill'
  },
  {
    name: 'the counters of a worker that has ended are forgotten',
    promise: 6,
    file: 'primary/metrics/retained-counters.js',
    from: 'this.#exited.set(slot, last)',
    to: '',
    faults: 'kill'
  },
  {
    name: 'a request overwrites what another one of its session has counted',
    promise: 3,
    file: 'http/plugins/session/visits.js',
    from: /const visit = takeVisit[\s\S]*?\+ visit/,
    to: 'return (session.visits = (session.visits ?? 0) + 1)',
    faults: 'stop'
  },
  {
    name: 'liveness asks Redis',
    promise: 7,
    file: 'http/plugins/health.js',
    from: "app.get(livez, { config }, async () => ({ status: 'ok' }))",
    to: 'app.get(livez, { config }, async (_, reply) => reply.code(app.cluster().redis ? 200 : 503).send({}))',
    faults: 'redis-stop',
    env: { REDIS_TIMEOUT: '1000' }
  }
]
