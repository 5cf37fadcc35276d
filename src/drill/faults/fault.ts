import type { CpuWaits } from '../load/cpu-waits.ts'
import type { Address } from '../load/http-connection.ts'
import type { RequestRecorder } from '../load/request-recorder.ts'
import type { FaultName, Step } from '../observations.ts'
import type { DrillTarget, ServiceWatch } from '../service-watch.ts'
import type { ServiceSettings } from '../target-settings.ts'
import type { UndoStack } from '../undo-stack.ts'
import type { RedisCommands } from './redis-commands.ts'

/** Everything that a fault can use. */
export interface FaultContext {
  target: DrillTarget
  watch: ServiceWatch
  settings: ServiceSettings
  address: Address
  recorder: RequestRecorder
  waits: CpuWaits
  undo: UndoStack
  /** Undefined: the drill must not touch the Redis of the service. */
  redis: RedisCommands | undefined
}

/** What a fault has seen beside the load. */
export type Seen = Pick<Step, 'worker' | 'reload' | 'redis' | 'slow' | 'skipped'>

export interface Fault {
  name: FaultName
  /** The time that it needs at most when the service keeps its promises, in ms. */
  needsMs(context: FaultContext): number
  /** @returns why the fault cannot be tried on this service */
  cannot?(context: FaultContext): string | undefined | Promise<string | undefined>
  /** Brings the fault about, and takes it back. @throws Interrupted */
  run(context: FaultContext): Promise<Seen>
}
