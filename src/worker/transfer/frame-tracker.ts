/** The longest header of a frame: 2 bytes, a length of 8 bytes, a mask of 4 bytes. */
const MAX_HEADER = 14
const NOTHING: Buffer = Buffer.alloc(0)

const OPCODE_CLOSE = 8

/** Follows the WebSocket frames of one direction (RFC 6455), without copying their bytes. */
export class FrameTracker {
  /** Whether a message is in the middle: it consists of several frames, and the last one has not ended. */
  inMessage = false
  /** Whether a close frame has ended. */
  isClosing = false
  /** Bytes of the frame that has not ended, as they came. */
  #parts: Buffer[] = []
  /** The beginning of a header that is not complete. */
  #header: Buffer = NOTHING
  #firstByte = 0
  /** Bytes of the frame's payload that are to come. */
  #missing = 0

  /** Bytes of the frame that has not ended. */
  get rest(): Buffer {
    return Buffer.concat(this.#parts)
  }

  /** The size of {@link rest}. */
  get restBytes(): number {
    return this.#parts.reduce((sum, { length }) => sum + length, 0)
  }

  read(data: Buffer): void {
    let frameStart = 0
    for (let at = 0; at < data.length; ) {
      const isHeader = this.#missing === 0
      const taken = isHeader ? this.#readHeader(data, at) : Math.min(this.#missing, data.length - at)
      if (!isHeader) this.#missing -= taken
      at += taken
      if (this.#missing > 0 || this.#header.length > 0) continue
      this.#endFrame()
      frameStart = at
    }
    if (frameStart < data.length) this.#parts.push(data.subarray(frameStart))
  }

  /** @returns the number of bytes that belong to the header */
  #readHeader(data: Buffer, at: number): number {
    const before = this.#header.length
    const next = data.subarray(at, at + MAX_HEADER - before)
    const bytes = before > 0 ? Buffer.concat([this.#header, next]) : next
    const length = headerLength(bytes)
    if (length === undefined) {
      this.#header = bytes
      return next.length
    }
    this.#header = NOTHING
    this.#firstByte = bytes[0]!
    this.#missing = payloadLength(bytes)
    return length - before
  }

  #endFrame(): void {
    this.#parts = []
    const opcode = this.#firstByte & 15
    if (opcode < OPCODE_CLOSE) this.inMessage = this.#firstByte < 128
    else if (opcode === OPCODE_CLOSE) this.isClosing = true
  }
}

/** @returns undefined when the header is not complete */
function headerLength(bytes: Buffer): number | undefined {
  if (bytes.length < 2) return undefined
  const size = bytes[1]! & 127
  const length = 2 + lengthBytes(size) + (bytes[1]! & 128 ? 4 : 0)
  return bytes.length < length ? undefined : length
}

function payloadLength(header: Buffer): number {
  const size = header[1]! & 127
  if (size === 126) return header.readUInt16BE(2)
  return size === 127 ? Number(header.readBigUInt64BE(2)) : size
}

/** @param size the 7 bits of the length in the second byte */
function lengthBytes(size: number): number {
  if (size < 126) return 0
  return size === 126 ? 2 : 8
}
