/** A complete response, or one whose body still comes. */
export interface ReadResponse {
  status: number
  head: string
  body: string
}

/** Reads responses of HTTP/1.1 as a client does. */
export class HttpReader {
  /** The response whose body comes. */
  current: ReadResponse | undefined
  readonly #onBody: (text: string) => void
  readonly #onDone: (response: ReadResponse) => void
  #rest = ''
  /** Bytes of the body that are missing; undefined for a chunked one. */
  #left: number | undefined

  /** @param onBody called with every part of a body */
  constructor(onBody: (text: string) => void, onDone: (response: ReadResponse) => void) {
    this.#onBody = onBody
    this.#onDone = onDone
  }

  read(text: string): void {
    this.#rest += text
    while (this.current ? this.#readBody(this.current) : this.#readHead());
  }

  /** @returns whether there may be more to read */
  #readHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end < 0) return false
    const head = this.#rest.slice(0, end + 4)
    this.#rest = this.#rest.slice(end + 4)
    const status = Number(head.slice(9, 12))
    if (!head.startsWith('HTTP/1.1 ') || !(status >= 100))
      throw new Error(`no head of a response: ${head.slice(0, 80)}`)
    if (status < 200) return true
    this.current = { status, head, body: '' }
    const length = /^content-length: (\d+)/im.exec(head)?.[1]
    this.#left = length === undefined ? undefined : Number(length)
    return true
  }

  #readBody(response: ReadResponse): boolean {
    if (this.#left === undefined) return this.#readChunk(response)
    const part = this.#rest.slice(0, this.#left)
    this.#rest = this.#rest.slice(part.length)
    this.#left -= part.length
    this.#add(response, part)
    if (this.#left > 0) return false
    this.#done(response)
    return true
  }

  #readChunk(response: ReadResponse): boolean {
    const line = this.#rest.indexOf('\r\n')
    if (line < 0) return false
    const size = Number.parseInt(this.#rest.slice(0, line), 16)
    if (Number.isNaN(size)) throw new Error(`no chunk: ${JSON.stringify(this.#rest.slice(0, 80))}`)
    const end = line + 2 + size + 2
    if (this.#rest.length < end) return false
    const data = this.#rest.slice(line + 2, end - 2)
    this.#rest = this.#rest.slice(end)
    if (size > 0) this.#add(response, data)
    else this.#done(response)
    return true
  }

  #add(response: ReadResponse, part: string): void {
    if (part === '') return
    response.body += part
    this.#onBody(part)
  }

  #done(response: ReadResponse): void {
    this.current = undefined
    this.#onDone(response)
  }
}
