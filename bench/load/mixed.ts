import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Mix } from '../../test/helpers/load.ts'
import { BenchError } from '../command.ts'
import { ask, type Failed } from './ask.ts'

/** What the clients saw; none of them ever tries a request again. */
export interface MixedResult {
  readonly answered: number
  /** Connections opened again by clients that keep theirs. */
  readonly reopened: number
  /** `client: what it saw`, and how often. */
  readonly failures: Readonly<Record<string, number>>
  /** Of the requests that are answered at once. */
  readonly p99Ms: number
}

export type ToMixed = { readonly type: 'start'; readonly port: number; readonly mix: Mix } | { readonly type: 'stop' }
export type FromMixed =
  | { readonly type: 'running' }
  | { readonly type: 'result'; readonly result: MixedResult }
  | Failed

/** A request without an answer is given up after 30 s, and so a client ends at last. */
export const endMs = 35_000

/** The clients of the tests, in a process of their own. */
export class MixedLoad {
  // not detached: a terminal's Ctrl-C reaches it, and it leaves by itself when the channel closes
  readonly #child: ChildProcess = fork(fileURLToPath(new URL('./mixed-child.js', import.meta.url)), {
    stdio: ['ignore', 2, 2, 'ipc']
  })

  /** Resolves when the clients have warmed up and the ones that count get their answers. */
  async start(port: number, mix: Mix): Promise<void> {
    await ask<FromMixed>(this.#child, { type: 'start', port, mix }, 60_000)
  }

  /** Lets every client finish the request it is at. */
  async stop(): Promise<MixedResult> {
    const answer = await ask<FromMixed>(this.#child, { type: 'stop' }, endMs + 5000)
    if (answer.type !== 'result') throw new BenchError('The load generator lost count of what it was asked.')
    return answer.result
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
