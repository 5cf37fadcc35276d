import type { ChildProcess } from 'node:child_process'

/** Node's end of a channel to a child process. It is found by the name of a symbol; without it garbage stays fatal. */
interface ChannelHandle {
  readonly bytesRead: number
  /** Called with what was read, or without at the end. */
  onread: (this: ChannelHandle, data?: ArrayBuffer) => void
}

export interface ChannelFaults {
  /** It wrote what is no message of node's channel. What came with it is lost, and what follows may be. Called once. */
  onGarbage(error: Error): void
  /** It sends more than any worker has to say. Called once. */
  onFlood(why: string): void
}

/** A load of so much in so little time is a flood: 20,000 a second for 3 s. A message is 1, a KiB of them another 1. */
const FLOOD = { load: 60_000, ms: 3000 }
/** A message that is longer than this has no end. */
const LONGEST_MESSAGE = 64 * 1024 * 1024

/**
 * Keeps a child's channel from harming this process. Node parses what comes in by itself and throws at what is not JSON
 * (or what only looks like a message of its own) out of anyone's reach: an uncaught exception, and every message behind
 * it may be garbage too, since the half that was read stays in the buffer. So node's reader is wrapped, and nothing is
 * listened to any more after the first fault. To be called right after the fork.
 */
export function guardChannel(child: ChildProcess, { onGarbage, onFlood }: ChannelFaults, flood = FLOOD): void {
  const key = Object.getOwnPropertySymbols(child).find((symbol) => symbol.description === 'kChannelHandle')
  const channel = key && (child as unknown as Record<symbol, ChannelHandle | null>)[key]
  let deaf = false
  let messages = 0
  let bytesAtLastMessage = 0
  let look = { load: 0, at: performance.now() }

  const garbage = (error: unknown) => {
    if (deaf) return
    deaf = true
    onGarbage(error as Error)
  }
  const count = () => {
    messages++
    bytesAtLastMessage = channel?.bytesRead ?? 0
    const load = messages + bytesAtLastMessage / 1024
    if (load - look.load < flood.load) return
    const now = performance.now()
    const ms = Math.round(now - look.at)
    look = { load, at: now }
    if (ms >= flood.ms) return
    deaf = true
    onFlood(`a flood of messages: ${messages}, ${bytesAtLastMessage} bytes, the last of them in ${ms} ms`)
  }

  const onread = channel?.onread
  if (channel && onread) {
    channel.onread = (data) => {
      if (!data) return onread.call(channel)
      if (deaf) return
      try {
        onread.call(channel, data)
      } catch (error) {
        garbage(error)
      }
      if (channel.bytesRead - bytesAtLastMessage > LONGEST_MESSAGE) garbage(new Error('a message without an end'))
    }
  }
  const emit = child.emit as (event: string, ...args: unknown[]) => boolean
  child.emit = (event: string, ...args: unknown[]): boolean => {
    if (event === 'message' || event === 'internalMessage') {
      if (deaf) return false
      count()
    }
    if (event !== 'internalMessage') return emit.call(child, event, ...args)
    try {
      return emit.call(child, event, ...args)
    } catch (error) {
      garbage(error)
      return false
    }
  }
}
