/**
 * The protocol by which a primary is replaced by another one, its successor. Both are alive meanwhile, both accept on the port,
 * and each is in charge of some slots: the successor of those below a line that moves up, the old primary of the others.
 *
 *     old                             successor
 *     begin, with the sockets   -->   validates its configuration and opens its ports
 *                               <--   prepared, or refused
 *     open slot                 -->   starts the worker of the slot
 *                               <--   ready
 *     drains its worker of the slot, then opens the next one
 *     commit                    -->   takes the admin socket, the pid file and the embedded Redis
 *                               <--   committed
 *     drains what it has left, and exits
 *
 * A worker of the successor that fails turns the line round: the old primary starts its worker of the last slot again, then the
 * successor drains its own (`return`, `released`), down to slot 0, and `end` tells the successor to exit.
 *
 * A successor that is replaced before the old primary has nothing left says so (`superseded`). The old primary never takes the
 * service back then, and the successor exits after it.
 *
 * When one of the two dies, the other one is in charge of everything. A test explores every order of messages and deaths and proves
 * that one of them then serves every slot, that only one of them owns the admin socket, and that neither waits for ever.
 */

/** Primaries with different versions of the protocol refuse to replace each other. */
export const UPGRADE_PROTOCOL_VERSION = 1

const then = <To extends string, Action extends string>(to: To, action: Action) => ({ to, action })

export const UPGRADE_PROTOCOL = {
  /** The primary that is replaced. `slot` is the line: the number of slots that the successor is in charge of. */
  old: {
    starting: {
      prepared: then('opening', 'open'),
      refused: then('alone', 'give-up'),
      died: then('alone', 'give-up'),
      late: then('starting', 'kill'),
      stop: then('ending', 'end')
    },
    opening: {
      ready: then('leaving', 'retire'),
      'all-ready': then('committing', 'commit'),
      failed: then('restoring', 'restore'),
      died: then('alone', 'take-back'),
      late: then('opening', 'kill'),
      stop: then('ending', 'end')
    },
    leaving: {
      left: then('opening', 'open'),
      failed: then('restoring', 'restore'),
      died: then('alone', 'take-back'),
      stop: then('ending', 'end')
    },
    committing: {
      committed: then('retiring', 'retire-all'),
      // The successor has the commit already: it replaces the worker by itself.
      failed: then('committing', 'wait'),
      died: then('alone', 'take-back'),
      late: then('committing', 'kill'),
      stop: then('ending', 'end')
    },
    retiring: {
      empty: then('gone', 'exit'),
      superseded: then('superseded', 'wait'),
      died: then('alone', 'take-back'),
      stop: then('retiring', 'end')
    },
    /** The successor is being replaced itself, and this primary still waits for its last workers. A third one may be in charge. */
    superseded: {
      empty: then('gone', 'exit'),
      died: then('alone', 'drain'),
      stop: then('superseded', 'end')
    },
    /** Its worker of the last slot below the line starts again. */
    restoring: {
      restored: then('returning', 'return'),
      'all-restored': then('ending', 'end'),
      died: then('alone', 'take-back'),
      late: then('restoring', 'kill'),
      stop: then('ending', 'end')
    },
    /** The successor's worker of that slot drains. */
    returning: {
      released: then('restoring', 'restore'),
      died: then('alone', 'take-back'),
      late: then('returning', 'kill'),
      stop: then('ending', 'end')
    },
    /** The successor was told to exit. */
    ending: {
      prepared: then('ending', 'wait'),
      refused: then('ending', 'wait'),
      ready: then('ending', 'wait'),
      'all-ready': then('ending', 'wait'),
      failed: then('ending', 'wait'),
      released: then('ending', 'wait'),
      committed: then('ending', 'wait'),
      superseded: then('ending', 'wait'),
      died: then('alone', 'take-back'),
      late: then('ending', 'kill')
    }
  },
  successor: {
    validating: {
      valid: then('waiting', 'tell-prepared'),
      invalid: then('gone', 'refuse'),
      // The listening sockets are here, so the port stays open if the configuration is valid.
      died: then('alone', 'wait'),
      end: then('gone', 'exit')
    },
    /** The old primary died before this one had validated its configuration. */
    alone: {
      valid: then('serving', 'take-over'),
      invalid: then('gone', 'refuse')
    },
    waiting: {
      open: then('booting', 'open-slot'),
      commit: then('serving', 'take-over'),
      failed: then('failing', 'tell-failed'),
      died: then('serving', 'take-over'),
      end: then('gone', 'exit')
    },
    booting: {
      booted: then('waiting', 'tell-ready'),
      failed: then('failing', 'tell-failed'),
      died: then('serving', 'take-over'),
      end: then('gone', 'exit')
    },
    /** A worker failed. */
    failing: {
      // Sent before the old primary knew of the failure.
      open: then('failing', 'wait'),
      commit: then('serving', 'take-over'),
      return: then('releasing', 'release'),
      died: then('serving', 'take-over'),
      end: then('gone', 'exit')
    },
    releasing: {
      released: then('failing', 'tell-released'),
      died: then('serving', 'take-over'),
      end: then('gone', 'exit')
    },
    /** In charge of every slot. */
    serving: {
      died: then('serving', 'wait'),
      // The old primary was told to stop the service.
      end: then('gone', 'exit')
    }
  }
} as const

type Protocol = typeof UPGRADE_PROTOCOL
export type UpgradeRole = keyof Protocol
/** Every state of a role: those of the table, and `gone` or `alone`, in which it does nothing more. */
export type UpgradeState<R extends UpgradeRole> = keyof Protocol[R] | (R extends 'old' ? 'alone' | 'gone' : 'gone')

type Rules = Readonly<Record<string, Readonly<Record<string, { to: string; action: string }>>>>
type EventsOf<T> = T extends unknown ? keyof T : never
type StepsOf<T> = T extends unknown ? T[keyof T] : never
export type UpgradeEvent<R extends UpgradeRole> = EventsOf<Protocol[R][keyof Protocol[R]]>
type Step<R extends UpgradeRole> = StepsOf<Protocol[R][keyof Protocol[R]]>
export type UpgradeAction<R extends UpgradeRole> = Step<R> extends { action: infer A } ? A : never

/** @returns what the primary in this role does when the event happens, and its next state; undefined: the event means nothing then */
export function upgradeStep<R extends UpgradeRole>(
  role: R,
  state: UpgradeState<R>,
  event: UpgradeEvent<R>
): { to: UpgradeState<R>; action: UpgradeAction<R> } | undefined {
  const rules = UPGRADE_PROTOCOL[role] as Rules
  const step = rules[state as string]?.[event as string]
  return step as { to: UpgradeState<R>; action: UpgradeAction<R> } | undefined
}
