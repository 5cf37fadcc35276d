import type { ServiceStatus } from '../admin/command-context.ts'
import type { JournalEntry } from '../admin/journal-file.ts'
import type { AdminEvent, CommandAnswer } from '../ipc/messages.ts'
import { DrillError, Interrupted } from './drill-errors.ts'

const OPEN_TIMEOUT_MS = 10_000

/** A running service, as the command line reaches it. */
export interface DrillTarget {
  runDir: string
  /** Gives a command on the admin socket. */
  ask(command: string, args?: object): Promise<CommandAnswer['body']>
  /** Yields what happens, until `signal` is aborted. */
  watch(signal: AbortSignal): AsyncIterable<AdminEvent>
}

/** The latest status of a service, and what its journal has recorded since the start of the drill. */
export class ServiceWatch {
  status!: ServiceStatus
  readonly journal: JournalEntry[] = []
  readonly #waiting = new Set<() => void>()
  readonly #ended = new AbortController()
  #failure: Error | undefined

  /** Resolves with the first status. @param signal ends all waiting with {@link Interrupted} @throws DrillError */
  static async open(target: DrillTarget, signal: AbortSignal): Promise<ServiceWatch> {
    const watch = new ServiceWatch()
    signal.addEventListener('abort', () => watch.#end(new Interrupted('interrupted')))
    void watch.#follow(target)
    const isThere = await watch.until(() => (watch.status as ServiceStatus | undefined) !== undefined, OPEN_TIMEOUT_MS)
    if (!isThere) throw new DrillError(`the primary sent no status in ${OPEN_TIMEOUT_MS} ms`)
    return watch
  }

  /**
   * Resolves with the first truthy result of `check`, which is called after every event of the service.
   * @returns undefined after `timeoutMs` @throws Interrupted; DrillError when the service has ended
   */
  until<T>(check: () => T, timeoutMs: number): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        done()
      }
      const look = () => {
        if (this.#failure) return settle(() => reject(this.#failure))
        const value = check()
        if (value) settle(() => resolve(value))
      }
      const timer = setTimeout(() => settle(() => resolve(undefined)), timeoutMs)
      this.#waiting.add(look)
      look()
    })
  }

  /** Waits for a status from now on in which every slot has a worker that serves. @returns false when none comes in time */
  async isSettled(timeoutMs: number): Promise<boolean> {
    const { status } = this
    return (await this.until(() => this.status !== status && isSettled(this.status), timeoutMs)) === true
  }

  /** Waits for a moment, or until the drill is interrupted. */
  async pause(ms: number): Promise<void> {
    await this.until(() => false, ms)
  }

  stop(): void {
    this.#ended.abort()
  }

  async #follow(target: DrillTarget): Promise<void> {
    try {
      for await (const { event, data } of target.watch(this.#ended.signal)) {
        if (event === 'status') this.status = data as ServiceStatus
        if (event === 'journal') this.journal.push(data as JournalEntry)
        this.#look()
      }
    } catch (error) {
      this.#end(new DrillError((error as Error).message))
    }
  }

  #end(failure: Error): void {
    this.#failure ??= failure
    this.#look()
  }

  #look(): void {
    for (const look of [...this.#waiting]) look()
  }
}

export const readyWorkers = ({ workers }: ServiceStatus) => workers.filter(({ status }) => status === 'ready')

const isSettled = (status: ServiceStatus): boolean => {
  const slots = new Set(readyWorkers(status).map(({ slot }) => slot))
  return status.state === 'running' && slots.size >= status.desired
}
