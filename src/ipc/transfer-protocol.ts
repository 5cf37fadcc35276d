/**
 * The protocol by which a connection in use moves from an old worker through the primary to a new one. Each process has a copy
 * of the file descriptor until the table tells it to close its own:
 *
 *     old --transfer--> primary --connection--> new
 *     old <-transferred- primary <---accepted-- new
 *
 * While one primary replaces another, a connection may go through both. The next primary says `taken` before it passes the connection on
 * to a worker, and `served` when that has accepted it:
 *
 *     old --transfer--> primary --connection--> next primary --connection--> new
 *                       primary <----taken----- next primary
 *     old <-transferred- primary <---served---- next primary <---accepted-- new
 *
 * Two rules follow from the table, and a test explores every order of messages and deaths to prove them: at most one worker uses
 * the connection, and no process that lives keeps a copy.
 */

/** What a process does with its copy. `take-back`: the old worker uses it again. `refuse`: close it and tell the old worker so. */
export type TransferAction = 'close' | 'take-back' | 'pass-on' | 'wait' | 'release' | 'refuse' | 'serve' | 'keep'

const then = <To extends string, Action extends TransferAction>(to: To, action: Action) => ({ to, action })

export const TRANSFER_PROTOCOL = {
  /** The worker that leaves. It has stopped to read and to write, and sent the descriptor. */
  old: {
    offered: {
      'not-sent': then('done', 'take-back'),
      accepted: then('done', 'close'),
      refused: then('done', 'take-back'),
      // A new worker may have it already. Two workers that write to one connection would be worse than a closed one.
      'primary-died': then('done', 'close'),
      /** The deadline of the drain has come. */
      late: then('done', 'close')
    }
  },
  primary: {
    waiting: {
      'worker-chosen': then('passed-on', 'pass-on'),
      'no-worker': then('done', 'refuse'),
      'given-up': then('done', 'refuse')
    },
    'passed-on': {
      accepted: then('done', 'release'),
      // The new worker uses the connection only after it has sent `accepted`, so it has changed nothing.
      'new-died': then('waiting', 'wait'),
      'not-sent': then('waiting', 'wait'),
      /** The new worker has handled later messages: the descriptor did not arrive. */
      missing: then('waiting', 'wait'),
      // It may be served: the old worker must not take it back.
      'given-up': then('done', 'release'),
      /** The next primary will offer it to its workers. */
      taken: then('taken', 'keep')
    },
    taken: {
      accepted: then('done', 'release'),
      /** The next primary has no worker that can take it, and none has it. */
      returned: then('done', 'refuse'),
      // One of its workers may use the connection already.
      'new-died': then('done', 'release'),
      'given-up': then('done', 'release')
    }
  },
  /** The primary that gets a connection from another one. It goes on as a `primary`, `waiting`. */
  next: {
    received: {
      'taken-sent': then('done', 'wait'),
      // The other primary is gone, or will offer the connection to another process.
      'not-sent': then('done', 'close')
    }
  },
  /** The worker that takes over. It sends `accepted` before it reads or writes. */
  new: {
    received: {
      'accepted-sent': then('done', 'serve'),
      // The primary is gone.
      'not-sent': then('done', 'close')
    }
  }
} as const

type Protocol = typeof TRANSFER_PROTOCOL
type Role = keyof Protocol
type StateOf<R extends Role> = keyof Protocol[R]

/** @returns what the process in this role does when the event happens, and its next state */
export function transferStep<R extends Role, S extends StateOf<R>, E extends keyof Protocol[R][S]>(
  role: R,
  state: S,
  event: E
): Protocol[R][S][E] {
  return TRANSFER_PROTOCOL[role][state][event]
}
