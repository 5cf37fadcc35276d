import type { Journal } from '../../admin/journal.ts'
import type { AdminEvent } from '../../ipc/messages.ts'
import type { Commands } from './commands.ts'

const FRAME_MS = 1000
const EVENTS = ['journal', 'audit'] as const

/** Resolves when it is on its way: until then, who is slow gets no further status. */
export type Send = (event: AdminEvent) => Promise<unknown>

/** What operators see, as it happens: made once for all who watch, and only while one does. */
export class AdminEventStream {
  readonly #commands: Commands
  readonly #journals: Readonly<Record<'journal' | 'audit', Journal>>
  readonly #watchers = new Map<unknown, { send: Send; busy: boolean }>()
  #end: (() => void) | undefined

  constructor(commands: Commands, journals: Readonly<Record<'journal' | 'audit', Journal>>) {
    this.#commands = commands
    this.#journals = journals
  }

  /** @param who the same one is served once @param last so many entries of each journal come first, in order of time */
  add(who: unknown, send: Send, last = 0): void {
    const watcher = { send, busy: false }
    this.#watchers.set(who, watcher)
    this.#status([watcher])
    if (last > 0) for (const event of this.#lastEntries(last)) void send(event)
    if (this.#end) return
    const timer = setInterval(() => this.#status(this.#watchers.values()), FRAME_MS)
    const unwatch = EVENTS.map((event) =>
      this.#journals[event].watch((data) => {
        for (const one of this.#watchers.values()) void one.send({ event, data })
      })
    )
    this.#end = () => {
      clearInterval(timer)
      for (const end of unwatch) end()
    }
  }

  remove(who: unknown): void {
    if (!this.#watchers.delete(who) || this.#watchers.size > 0) return
    this.#end?.()
    this.#end = undefined
  }

  #lastEntries(limit: number) {
    return EVENTS.flatMap((event) => this.#journals[event].read({ limit }).map((data) => ({ event, data }))).sort(
      (a, b) => (a.data.at < b.data.at ? -1 : 1)
    )
  }

  #status(watchers: Iterable<{ send: Send; busy: boolean }>): void {
    const event: AdminEvent = { event: 'status', data: this.#commands.look() }
    for (const watcher of watchers) {
      if (watcher.busy) continue
      watcher.busy = true
      void watcher.send(event).finally(() => {
        watcher.busy = false
      })
    }
  }
}
