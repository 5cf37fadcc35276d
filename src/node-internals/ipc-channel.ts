// Node's end of the IPC channel to another process. Node parses what the child writes before any listener sees it, and an
// exception there cannot be caught by public means. Bare TCP handles cross the channel, which only sockets and servers do by
// the documentation: a net.Socket would be read, and closed, by the process that only passes it on.
import { type ChildProcess, spawn } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { bindTcp } from './listening-handle.ts'

/** The pipe of the channel. */
interface ChannelHandle {
  readonly bytesRead: number
  /** Called with the bytes that were read, or without an argument at the end. */
  onread: (this: ChannelHandle, data?: ArrayBuffer) => void
}

export interface ChannelTap {
  /** Asked before each read and each message; false drops it. */
  accepts(): boolean
  /** A message of the child, or one of Node's own protocol. */
  onMessage(bytesRead: number): void
  /** A read was parsed as far as possible. */
  onRead(bytesRead: number): void
  /** Node threw at what the child wrote. What it had read before stays in its buffer, so later messages may be garbage. */
  onError(error: Error): void
}

/**
 * Wraps the reader and the `emit` of a child's channel. To be called right after the fork, before anything arrives.
 * Messages of Node's own protocol are emitted as `internalMessage`, outside of the reader.
 */
export function tapChannel(child: ChildProcess, tap: ChannelTap): void {
  const channel = channelOf(child)
  if (!channel) throw new Error(`Node ${process.version} lacks ChildProcess#kChannelHandle`)
  const { onread } = channel
  const guarded = (run: () => unknown): boolean => {
    try {
      return Boolean(run())
    } catch (error) {
      tap.onError(error as Error)
      return false
    }
  }
  channel.onread = (data) => {
    if (!data) return onread.call(channel)
    if (!tap.accepts()) return
    guarded(() => onread.call(channel, data))
    tap.onRead(channel.bytesRead)
  }
  const emit = child.emit as (event: string, ...args: unknown[]) => boolean
  child.emit = (event: string, ...args: unknown[]): boolean => {
    if (event !== 'message' && event !== 'internalMessage') return emit.call(child, event, ...args)
    if (!tap.accepts()) return false
    tap.onMessage(channel.bytesRead)
    if (event === 'message') return emit.call(child, event, ...args)
    return guarded(() => emit.call(child, event, ...args))
  }
}

/** A process that has a channel, with what Node keeps back until a handle that it has sent is acknowledged. */
interface ChannelOwner extends EventEmitter {
  _handleQueue: { callback?: (error: Error) => void }[] | null
}

/**
 * Reports the end of a channel when it comes. Until a handle that was sent is acknowledged, Node keeps back every later message, and
 * `disconnect` as well: if the other process dies first, neither that event nor the callbacks of these messages would ever come.
 * @param peer a child, or this process; nothing happens if it has no channel any more
 */
export function reportEndOf(peer: object): void {
  const channel = channelOf(peer)
  if (!channel) return
  const owner = peer as ChannelOwner
  const { onread } = channel
  channel.onread = (data) => {
    onread.call(channel, data)
    if (data || !owner._handleQueue) return
    const unsent = owner._handleQueue
    owner._handleQueue = null
    for (const { callback } of unsent) callback?.(new Error('the other process has ended'))
    owner.emit('disconnect')
  }
}

/** The symbol is not exported; it is found by its description. */
function channelOf(peer: object): ChannelHandle | undefined {
  const key = Object.getOwnPropertySymbols(peer).find((symbol) => symbol.description === 'kChannelHandle')
  return key && (peer as Record<symbol, ChannelHandle>)[key]
}

/** Node creates the channel of a child before it reports that the program cannot be run: no process is needed. */
export function probeIpcChannel(): Record<string, boolean> {
  const child = spawn('/', { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }).on('error', () => {})
  const handle = bindTcp('0.0.0.0', 0, 4)
  try {
    const channel = channelOf(child)
    return {
      'ChildProcess#kChannelHandle': typeof channel?.onread === 'function' && 'bytesRead' in channel,
      'ChildProcess#_handleQueue': '_handleQueue' in child,
      'process.send(message, TCP)': takesBareHandle(child, handle)
    }
  } finally {
    handle.close()
    child.disconnect()
  }
}

function takesBareHandle(child: ChildProcess, handle: object): boolean {
  try {
    child.send('', handle as never, () => {})
    return true
  } catch {
    return false
  }
}
