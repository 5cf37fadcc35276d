import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { BenchError } from '../command.ts'
import { ask, type Failed } from './ask.ts'

export interface ToIdle {
  readonly url: string
  readonly connections: number
}
export type FromIdle = { readonly type: 'held'; readonly connections: number } | Failed

/** Connections that asked once and are kept, in a process of their own. */
export class IdleConnections {
  readonly #child: ChildProcess = fork(fileURLToPath(new URL('./idle-child.js', import.meta.url)), {
    stdio: ['ignore', 2, 2, 'ipc']
  })

  /** Opens so many; resolves when each has had its answer. */
  async hold(url: string, connections: number): Promise<void> {
    if (connections === 0) return
    const order: ToIdle = { url, connections }
    const answer = await ask<FromIdle>(this.#child, { ...order }, 120_000)
    if (answer.connections < connections) throw new BenchError(`Only ${answer.connections} idle connections were kept.`)
  }

  /** Closes them all. */
  release(): void {
    this.#child.kill('SIGKILL')
  }
}
