import type { ServiceView } from '../../ipc/messages.ts'
import type { Limits } from './policy-limits.ts'
import { isDegraded, type State, serves } from './types.ts'

/**
 * Returns what every worker may know about the service.
 * @param hasRedis whether a worker, by its id, is connected to Redis
 */
export function serviceView(state: State, limits: Limits, hasRedis: (id: number) => boolean): ServiceView {
  const ready = state.workers.filter(serves)
  return {
    state: serviceState(state, limits),
    desired: state.desired,
    workers: state.workers.map(({ slot, pid, generation, status }) => ({ slot, pid, generation, status })),
    redis: ready.length > 0 && ready.every(({ id }) => hasRedis(id))
  }
}

function serviceState(state: State, limits: Limits): ServiceView['state'] {
  if (state.phase !== 'running') return 'draining'
  if (state.share) return 'upgrading'
  if (!state.everReady) return 'starting'
  if (state.rollout) return 'reloading'
  return isDegraded(state, limits) ? 'degraded' : 'running'
}
