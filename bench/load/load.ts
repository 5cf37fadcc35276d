import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { BenchError } from '../command.ts'
import { ask, type Failed } from './ask.ts'
import type { LoadResult } from './tally.ts'

/** The rows that are measured: a hit, a hit of a session, a connection for each request. */
export const cases = ['hit', 'session', 'connect'] as const
export type Case = (typeof cases)[number]

export interface Job {
  readonly row: Case
  readonly url: string
  readonly connections: number
  readonly seconds: number
  /** For `session`: every connection's cookie must lead back to its session, or the job fails. */
  readonly shared: boolean
  /** For `session`: so many sessions, the next one with each request; without it one for each connection. */
  readonly sessions?: number
  /** Every connection comes from a loopback address of its own, as clients do; not for `session`. */
  readonly spread?: boolean
}

/** The nth of 250 loopback addresses; on Linux all of 127.0.0.0/8 is there. */
export const nthAddress = (nth: number): string => `127.0.2.${1 + (nth % 250)}`

/** What making one session may take at most, on a very busy machine. */
const PATIENCE_MS = 5

export type ToLoad = { readonly type: 'prepare'; readonly job: Job } | { readonly type: 'go' }
export type FromLoad = { readonly type: 'ready' } | { readonly type: 'result'; readonly result: LoadResult } | Failed

/** The load generator: a process of its own, so that its CPU is nobody else's, and one for the run, so that it is warm. */
export class Load {
  readonly #child: ChildProcess

  constructor() {
    // not detached: a terminal's Ctrl-C reaches it, and it leaves by itself when the channel closes
    this.#child = fork(fileURLToPath(new URL('./child.js', import.meta.url)), { stdio: ['ignore', 2, 2, 'ipc'] })
  }

  /** Runs one job; `around` is called just before the first and just after the last request of the window. */
  async run<Reading>(
    job: Job,
    around: () => Reading
  ): Promise<{ result: LoadResult; before: Reading; after: Reading }> {
    await this.#ask({ type: 'prepare', job }, 30_000 + (job.sessions ?? 0) * PATIENCE_MS)
    const before = around()
    const answer = await this.#ask({ type: 'go' }, job.seconds * 1000 + 30_000)
    const after = around()
    if (answer.type !== 'result') throw new BenchError('The load generator lost count of what it was asked.')
    return { result: answer.result, before, after }
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }

  #ask(message: ToLoad, deadlineMs: number): Promise<Exclude<FromLoad, Failed>> {
    return ask<FromLoad>(this.#child, message, deadlineMs)
  }
}
