import type { ChildProcess, Serializable } from 'node:child_process'
import { once } from 'node:events'
import { BenchError } from '../command.ts'

/** What a load generator answers when it could not do what it was asked. */
export interface Failed {
  readonly type: 'failed'
  readonly why: string
}

/** Sends a message to a load generator and waits for its next one; its failure, its end and the deadline are errors. */
export async function ask<Reply extends { readonly type: string }>(
  child: ChildProcess,
  message: Serializable,
  deadlineMs: number
): Promise<Exclude<Reply, Failed>> {
  const waiting = new AbortController()
  const { signal } = waiting
  const timer = setTimeout(() => waiting.abort(), deadlineMs)
  try {
    const answer = once(child, 'message', { signal })
    const exit = once(child, 'exit', { signal }).then(() => {
      throw new BenchError('The load generator ended.')
    })
    child.send(message)
    const [reply] = (await Promise.race([answer, exit])) as [Reply | Failed]
    if (reply.type === 'failed') throw new BenchError((reply as Failed).why)
    return reply as Exclude<Reply, Failed>
  } catch (error) {
    if (signal.aborted) throw new BenchError(`The load generator did not answer within ${deadlineMs} ms.`)
    throw error
  } finally {
    clearTimeout(timer)
    waiting.abort()
  }
}
