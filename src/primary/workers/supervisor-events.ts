import type { ReloadOutcome } from '../../admin/command-context.ts'
import type { ServiceView } from '../../ipc/messages.ts'
import type { ActionOf } from '../policy/types.ts'
import type { RolloutOutcome } from '../rollout/rollout.ts'

export interface SupervisorEvents {
  /** The service has ended. Emitted once. */
  exit: [code: ActionOf<'exit'>['code'], cause: string]
  /** A rollout has ended. */
  rollout: [RolloutOutcome]
  /** A rollout asks whether it is this host's turn. */
  'turn-requested': []
  /** The rollout that asked is refused. */
  'turn-refused': [ReloadOutcome]
  /** The view of the service has changed. */
  change: [ServiceView]
  /** The state may have changed, and everything that follows from it has been done. */
  reconciled: []
}
