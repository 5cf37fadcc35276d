import type { ChildProcess } from 'node:child_process'
import { tapChannel } from '../../node-internals/ipc-channel.ts'

export interface ChannelFaults {
  /** The worker wrote something that is not a message. Messages that came with it are lost. Called once. */
  onGarbage(error: Error): void
  /** The worker sends more messages than any worker needs to. Called once. */
  onFlood(why: string): void
}

/** This much load in less than this time is a flood: 20,000 per second for 3 s. A message counts 1, each KiB of it another 1. */
const FLOOD = { load: 60_000, ms: 3000 }
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

/**
 * Protects this process from a child's channel. Node throws at input that is not JSON, or that looks like a message of its
 * own protocol but is not one; nothing could catch that exception. After the first fault, nothing more is read from the
 * channel. To be called right after the fork.
 */
export function guardChannel(child: ChildProcess, { onGarbage, onFlood }: ChannelFaults, flood = FLOOD): void {
  let isFaulty = false
  let messages = 0
  let bytesAtLastMessage = 0
  let period = { load: 0, startedAt: performance.now() }

  const reportGarbage = (error: Error) => {
    if (isFaulty) return
    isFaulty = true
    onGarbage(error)
  }
  const countMessage = (bytesRead: number) => {
    messages++
    bytesAtLastMessage = bytesRead
    const load = messages + bytesRead / 1024
    if (load - period.load < flood.load) return
    const now = performance.now()
    const ms = Math.round(now - period.startedAt)
    period = { load, startedAt: now }
    if (ms >= flood.ms) return
    isFaulty = true
    onFlood(`a flood of messages: ${messages}, ${bytesRead} bytes, the last of them in ${ms} ms`)
  }
  tapChannel(child, {
    accepts: () => !isFaulty,
    onMessage: countMessage,
    onRead: (bytesRead) => {
      if (bytesRead - bytesAtLastMessage > MAX_MESSAGE_BYTES) reportGarbage(new Error('a message without an end'))
    },
    onError: reportGarbage
  })
}
