import type { CommandContext } from '../../admin/command-context.ts'
import type { AdminEvent } from '../../ipc/messages.ts'

const STATUS_INTERVAL_MS = 1000

/** Sends an event to a watcher. Resolves when the watcher can take more: until then it gets no further status. */
export type Send = (event: AdminEvent) => Promise<unknown>

interface Watcher {
  send: Send
  isBusy: boolean
}

/** What operators watch: the status once a second, and journal and audit entries as they are written. Idle without watchers. */
export class AdminEventStream {
  readonly #source: Pick<CommandContext, 'status' | 'journal' | 'auditLog'>
  readonly #watchers = new Map<unknown, Watcher>()
  #stop: (() => void) | undefined

  constructor(source: Pick<CommandContext, 'status' | 'journal' | 'auditLog'>) {
    this.#source = source
  }

  /**
   * Adds a watcher, which gets the status at once.
   * @param key identifies the watcher; a second one with the same key replaces it
   * @param last the number of older entries of each file to send first, in the order of time
   */
  add(key: unknown, send: Send, last = 0): void {
    const watcher = { send, isBusy: false }
    this.#watchers.set(key, watcher)
    this.#sendStatus([watcher])
    if (last > 0) for (const event of this.#lastEntries(last)) void send(event)
    this.#stop ??= this.#start()
  }

  remove(key: unknown): void {
    if (!this.#watchers.delete(key) || this.#watchers.size > 0) return
    this.#stop?.()
    this.#stop = undefined
  }

  #start(): () => void {
    const { journal, auditLog } = this.#source
    const timer = setInterval(() => this.#sendStatus(this.#watchers.values()), STATUS_INTERVAL_MS)
    const unwatchJournal = journal.watch((data) => this.#sendAll({ event: 'journal', data }))
    const unwatchAudit = auditLog.watch((data) => this.#sendAll({ event: 'audit', data }))
    return () => {
      clearInterval(timer)
      unwatchJournal()
      unwatchAudit()
    }
  }

  #lastEntries(limit: number): AdminEvent[] {
    const { journal, auditLog } = this.#source
    const entries = [
      ...journal.read({ limit }).map((data) => ({ event: 'journal' as const, data })),
      ...auditLog.read({ limit }).map((data) => ({ event: 'audit' as const, data }))
    ]
    return entries.sort((a, b) => (a.data.at < b.data.at ? -1 : 1))
  }

  #sendAll(event: AdminEvent): void {
    for (const { send } of this.#watchers.values()) void send(event)
  }

  #sendStatus(watchers: Iterable<Watcher>): void {
    const event: AdminEvent = { event: 'status', data: this.#source.status() }
    for (const watcher of watchers) {
      if (watcher.isBusy) continue
      watcher.isBusy = true
      void watcher.send(event).finally(() => {
        watcher.isBusy = false
      })
    }
  }
}
