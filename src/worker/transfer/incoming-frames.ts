import type { Socket } from 'node:net'
import { FrameTracker } from './frame-tracker.ts'

/** Follows what a library reads from a connection after an upgrade. */
export class IncomingFrames extends FrameTracker {
  /** Whether the library has begun to read. */
  isRead = false

  constructor(socket: Socket) {
    super()
    // A listener of `data` alone would make the socket flow before the library listens, so it is added with the library's.
    const follow = (name: string | symbol) => {
      if (name !== 'data' || this.isRead) return
      this.isRead = true
      socket.off('newListener', follow)
      socket.prependListener('data', (data: Buffer) => this.read(data))
    }
    socket.on('newListener', follow)
  }
}
