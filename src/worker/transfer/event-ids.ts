/** An `id:` line that is longer is not followed: it would not fit into a request head. In characters. */
const MAX_LINE = 1024
const NOT_ASCII = /[^\p{ASCII}]/u

/**
 * Follows an event stream as it is written, and knows the id that a client sends as `Last-Event-ID` when it reconnects. Text is
 * handled as latin1, so that every byte is one character, as in headers of Node.
 */
export class EventIds {
  /** The id of the last complete event that had one; empty without one. */
  lastId: string
  /** The id of the event that is being written. */
  #id: string | undefined
  /** The beginning of the line that is being written. */
  #line = ''
  #inEvent = false
  #afterCr = false

  /** @param lastId the `Last-Event-ID` of the request */
  constructor(lastId = '') {
    this.lastId = lastId
  }

  /** Whether the next byte begins an event, or a comment between two. */
  get betweenEvents(): boolean {
    return this.#line === '' && !this.#inEvent
  }

  /** @param encoding of a string, as `response.write` takes it */
  write(chunk: string | Uint8Array, encoding: BufferEncoding = 'utf8'): void {
    const text = toLatin1(chunk, encoding)
    if (text === '') return
    const lines = text.slice(this.#afterCr && text[0] === '\n' ? 1 : 0).split(/\r\n|\r|\n/)
    this.#afterCr = text.endsWith('\r')
    lines[0] = this.#line + lines[0]
    this.#line = lines.pop()!.slice(0, MAX_LINE)
    for (const line of lines) this.#endLine(line)
  }

  #endLine(line: string): void {
    if (line === '') {
      this.lastId = this.#id ?? this.lastId
      this.#id = undefined
      this.#inEvent = false
    } else if (line[0] !== ':') {
      this.#inEvent = true
      const [, id] = /^id(?:: ?(.*))?$/s.exec(line) ?? []
      if (/^id(?:$|:)/.test(line) && line.length < MAX_LINE && !line.includes('\0')) this.#id = id ?? ''
    }
  }
}

function toLatin1(chunk: string | Uint8Array, encoding: BufferEncoding): string {
  if (typeof chunk !== 'string') return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1')
  if (encoding === 'latin1' || !NOT_ASCII.test(chunk)) return chunk
  return Buffer.from(chunk, encoding).toString('latin1')
}
