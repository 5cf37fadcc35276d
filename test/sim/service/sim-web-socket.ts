import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { transferredState } from '../../../src/http/transferable.ts'
import type { Connections } from '../../../src/worker/connections/connections.ts'

export const TEXT = 1
export const CLOSE = 8
const MASK = [1, 2, 3, 4]

/** Writes a frame of at most 125 bytes. Those of clients are masked. */
export function frame(opcode: number, text: string, isMasked = false): Buffer {
  const payload = Buffer.from(text, 'latin1')
  if (!isMasked) return Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload])
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, ...MASK]), masked(payload)])
}

const masked = (payload: Buffer) => payload.map((byte, i) => byte ^ MASK[i % 4]!) as Buffer

/** @returns a function that reads frames from the bytes that it is given */
export function frameReader(onFrame: (opcode: number, text: string) => void): (data: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (data) => {
    rest = Buffer.concat([rest, data])
    while (rest.length >= 2) {
      const isMasked = (rest[1]! & 0x80) !== 0
      const start = isMasked ? 6 : 2
      const end = start + (rest[1]! & 0x7f)
      if (rest.length < end) return
      const payload = rest.subarray(start, end)
      const opcode = rest[0]! & 15
      rest = rest.subarray(end)
      onFrame(opcode, (isMasked ? masked(payload) : payload).toString('latin1'))
    }
  }
}

/** Serves WebSockets that answer each message with its text and their count, which goes on in another worker. */
export function serveSockets(connections: Connections): void {
  connections.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    let count = transferredState<{ count: number }>(request)?.count ?? 0
    connections.offer(request, () => ({ count }))
    socket.on('error', () => {}).on('end', () => socket.end())
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    const read = frameReader((opcode, text) => {
      if (opcode === CLOSE) socket.end()
      else socket.write(frame(TEXT, `${text} ${++count}`))
    })
    if (head.length > 0) socket.unshift(head)
    socket.on('data', read)
  })
}
