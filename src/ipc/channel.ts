import type { SendHandle } from 'node:child_process'

/** The end of an IPC channel: `process` in a worker, `worker.process` in the primary. */
export interface ChannelPeer {
  readonly connected: boolean
  send?(
    message: unknown,
    handle: SendHandle | undefined,
    options: { keepOpen: boolean },
    done: (error: Error | null) => void
  ): boolean
  on(event: 'message', listener: (message: unknown, handle: unknown) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
}

type Requests = Record<string, { args: unknown; result: unknown }>
type Message = { type: string }
type Frame = { ask: string; id: number; args: unknown } | { answer: number; result?: unknown; error?: string }
interface Pending {
  resolve(result: unknown): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

/** Why an ask failed: its peer was silent, went away, or answered with an error. */
export class RpcError extends Error {
  override readonly name = 'AskError'
}

/** Questions of one peer under way at a time; more are refused, so that answers that it does not read pile up no higher. */
const MAX_REQUESTS = 32

/**
 * One typed channel. `tell` needs no answer, `ask` wants one by a deadline and rejects when the peer goes. What is not
 * a message of ours (garbage, or of a type only newer code knows) is passed to nobody.
 */
export interface Channel<Out extends Message, In extends Message, AskOut extends Requests, AskIn extends Requests> {
  /** Never throws: a peer that is just leaving makes the result false. `handle` stays open here. */
  notify(message: Out, handle?: unknown): Promise<boolean>
  request<Q extends keyof AskOut & string>(
    question: Q,
    args: AskOut[Q]['args'],
    deadlineMs: number
  ): Promise<AskOut[Q]['result']>
  on<T extends In['type']>(type: T, listener: (message: Extract<In, { type: T }>, handle: unknown) => void): void
  respond<Q extends keyof AskIn & string>(
    question: Q,
    answerer: (args: AskIn[Q]['args']) => AskIn[Q]['result'] | Promise<AskIn[Q]['result']>
  ): void
}

/** @param accepts false for what is not to be passed on: a message with wrong fields; such a question is refused */
export function createChannel<
  Out extends Message,
  In extends Message,
  AskOut extends Requests = Record<string, never>,
  AskIn extends Requests = Record<string, never>
>(
  peer: ChannelPeer,
  accepts: (message: Record<string, unknown>) => boolean = () => true
): Channel<Out, In, AskOut, AskIn> {
  const listeners = new Map<string, (message: never, handle: unknown) => void>()
  const answerers = new Map<string, (args: never) => unknown>()
  const pending = new Map<number, Pending>()
  let lastId = 0
  let answering = 0

  // Always with a callback: without one, an EPIPE from a peer that is just exiting is an 'error' event that kills us.
  const send = (message: Message | Frame, handle?: unknown): Promise<boolean> =>
    new Promise((resolve) => {
      if (!peer.connected || !peer.send) return resolve(false)
      peer.send(message, handle as SendHandle | undefined, { keepOpen: true }, (error) => resolve(error === null))
    })

  const settle = (id: number): Pending | undefined => {
    const asked = pending.get(id)
    pending.delete(id)
    clearTimeout(asked?.timer)
    return asked
  }

  const reply = async (frame: { ask: string; id: number; args: unknown }) => {
    answering++
    try {
      const answerer = answerers.get(frame.ask)
      if (!answerer) throw new RpcError(`unknown question "${frame.ask}"`)
      if (answering > MAX_REQUESTS) throw new RpcError(`more than ${MAX_REQUESTS} questions at once`)
      if (!accepts(frame)) throw new RpcError(`question "${frame.ask}" with wrong arguments`)
      await send({ answer: frame.id, result: await answerer(frame.args as never) })
    } catch (error) {
      await send({ answer: frame.id, error: error instanceof Error ? error.message : String(error) })
    } finally {
      answering--
    }
  }

  peer.on('message', (message, handle) => {
    if (!isRecord(message)) return
    if (typeof message.type === 'string') {
      if (accepts(message)) listeners.get(message.type)?.(message as never, handle)
    } else if (typeof message.ask === 'string' && typeof message.id === 'number') {
      void reply({ ask: message.ask, id: message.id, args: message.args })
    } else if (typeof message.answer === 'number') {
      const asked = settle(message.answer)
      if (typeof message.error === 'string') asked?.reject(new RpcError(message.error))
      else asked?.resolve(message.result)
    }
  })
  peer.once('disconnect', () => {
    for (const id of [...pending.keys()]) settle(id)?.reject(new RpcError('the process asked went away'))
  })

  return {
    notify: send,
    request: (question, args, deadlineMs) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        const timer = setTimeout(() => settle(id)?.reject(new RpcError(`no answer in ${deadlineMs} ms`)), deadlineMs)
        pending.set(id, { resolve: resolve as (result: unknown) => void, reject, timer })
        void send({ ask: question, id, args }).then((sent) => {
          if (!sent) settle(id)?.reject(new RpcError('the process asked went away'))
        })
      }),
    on: (type, listener) => void listeners.set(type, listener as (message: never, handle: unknown) => void),
    respond: (question, answerer) => void answerers.set(question, answerer as (args: never) => unknown)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
