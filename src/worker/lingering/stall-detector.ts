import type { Socket } from 'node:net'
import { handleOf } from '../../node-internals/tcp-handle.ts'
import type { Connection } from '../connections/connection.ts'
import { unacknowledgedBytes } from './kernel-queue.ts'

interface Progress {
  /** Bytes moved in both directions, as this process sees it. */
  moved: number
  /** Bytes in the kernel, as it was last looked at; undefined: never. */
  queued: number | undefined
  /** When a byte was last seen to move, on the clock of the detector. */
  at: number
}

/** A check that comes late counts as this part of the stall time: this process did not run, and what arrived is not read yet. */
const MAX_STEP = 1 / 4

/** Finds connections on which no byte has moved in either direction for a time. */
export class StallDetector {
  readonly #stallMs: number
  readonly #progress = new WeakMap<Connection, Progress>()
  /** In ms. It stands still while this process does not run. */
  #clock = 0
  #checkedAt = performance.now()

  constructor(stallMs: number) {
    this.#stallMs = stallMs
  }

  /**
   * To be called several times per stall time.
   * @param connections a connection that is seen for the first time has its whole time from now on
   * @returns the connections without progress
   */
  async findStalled(connections: readonly Connection[]): Promise<Connection[]> {
    const now = this.#advance()
    const unmoved = connections.filter((connection) => !this.#hasMoved(connection, now))
    if (unmoved.length === 0) return []
    const queues = await unacknowledgedBytes(unmoved.map(({ raw }) => raw))
    // Meanwhile, pending input was read.
    const still = unmoved.filter((connection) => !this.#hasMoved(connection, now))
    return still.filter((connection) => !this.#isTaken(connection, queues, now) && this.#isOver(connection, now))
  }

  #advance(): number {
    const now = performance.now()
    this.#clock += Math.min(now - this.#checkedAt, this.#stallMs * MAX_STEP)
    this.#checkedAt = now
    return this.#clock
  }

  #hasMoved(connection: Connection, now: number): boolean {
    const moved = bytesMoved(connection.raw)
    const known = this.#progress.get(connection)
    if (known?.moved === moved) return false
    this.#progress.set(connection, { moved, queued: undefined, at: now })
    return true
  }

  /** Whether the client has taken bytes from the kernel since that was last looked at. */
  #isTaken(connection: Connection, queues: Map<Socket, number>, now: number): boolean {
    const progress = this.#progress.get(connection)
    const queued = queues.get(connection.raw)
    if (!progress || queued === undefined) return false
    const isTaken = progress.queued !== undefined && queued < progress.queued
    progress.queued = queued
    if (isTaken) progress.at = now
    return isTaken
  }

  #isOver(connection: Connection, now: number): boolean {
    return now - (this.#progress.get(connection)?.at ?? now) >= this.#stallMs
  }
}

function bytesMoved(socket: Socket): number {
  const handle = handleOf(socket)
  return handle ? socket.bytesRead + handle.bytesWritten - handle.writeQueueSize : 0
}
