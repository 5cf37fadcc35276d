import { FAULTS } from '../observations.ts'
import { CLIENT_FAULTS } from './client-faults.ts'
import type { Fault } from './fault.ts'
import { REDIS_FAULTS } from './redis-faults.ts'
import { RELOAD_FAULTS } from './reload-faults.ts'
import { WORKER_FAULTS } from './worker-faults.ts'

/** Every fault, in the order of {@link FAULTS}. */
export const ALL_FAULTS: readonly Fault[] = [
  ...WORKER_FAULTS,
  ...REDIS_FAULTS,
  ...CLIENT_FAULTS,
  ...RELOAD_FAULTS
].sort((a, b) => FAULTS.indexOf(a.name) - FAULTS.indexOf(b.name))
