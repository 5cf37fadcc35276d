import type { OutgoingHttpHeader } from 'node:http'
import type { FastifyReply } from 'fastify'
import { type GivenHeaders, type HeaderLines, writeLinesFirst } from '../../../node-internals/http-server.ts'

type Headers = Readonly<Record<string, string>>

/** What browsers open as a page or run as a worker: its response decides what it may load. */
const DOCUMENT =
  /^\s*(?:text\/(?:html|javascript|xml)|application\/(?:xhtml\+xml|(?:x-)?javascript|xml|pdf)|image\/svg\+xml)\b/i
/** A response with one of these says itself how long it may be cached. */
const CACHE_HEADERS = ['etag', 'last-modified', 'expires'] as const
/** In the place of a bit: the value of `Content-Type` decides. */
const BY_TYPE = -1

/** Headers that depend on little more than the kind of the response, kept as the text that is sent. */
export class StaticHeaders implements HeaderLines {
  /** The headers of responses that are no documents. */
  readonly headers: Headers
  readonly #documentHeaders: Headers
  /** By header of a response: the bit of the static header that it replaces. */
  readonly #bits = new Map<string, number>([['content-type', BY_TYPE]])
  /** The bit that stands for documents. */
  readonly #documentBit: number
  /** The bits of all headers that a 304 must not change in a stored response. */
  #storedBits = 0
  /** Lines and pairs by their bits. */
  readonly #lines = new Map<number, string>()
  #lastType: unknown
  #lastTypeBit = 0

  /**
   * @param headers by lower-case names; names and values are not checked
   * @param documentHeaders other values of these headers for documents, such as HTML; an empty one removes the header
   */
  constructor(headers: Headers, documentHeaders: Headers = {}) {
    this.headers = Object.freeze(headers)
    const names = Object.keys(headers)
    this.#documentHeaders = Object.fromEntries(names.map((name) => [name, documentHeaders[name] ?? headers[name]!]))
    this.#documentBit = 1 << names.length
    for (const [i, name] of names.entries()) {
      this.#bits.set(name, 1 << i)
      if (name in documentHeaders) this.#storedBits |= 1 << i
    }
    const cacheBit = this.#bits.get('cache-control')
    if (cacheBit === undefined) return
    this.#storedBits |= cacheBit
    for (const name of CACHE_HEADERS) this.#bits.set(name, cacheBit)
  }

  linesBeside(given: GivenHeaders, statusCode: number): string {
    const bits = this.#bitsOf(given, statusCode)
    return this.#lines.get(bits) ?? this.#write(bits)
  }

  /** Returns the headers that the given ones do not replace. */
  pairsBeside(given: readonly GivenHeaders[], statusCode: number): [name: string, value: string][] {
    let bits = 0
    for (const headers of given) bits |= this.#bitsOf(headers, statusCode)
    return this.#pairs(bits)
  }

  #bitsOf(given: GivenHeaders, statusCode: number): number {
    let bits = statusCode === 304 ? this.#storedBits : 0
    if (Array.isArray(given)) for (const [key, value] of pairsIn(given)) bits |= this.#bitOf(key, value)
    else for (const key in given) bits |= this.#bitOf(key, given[key])
    return bits
  }

  /** @param value as Node keeps it: the value, or the name and the value */
  #bitOf(key: string, value: unknown): number {
    const bit = this.#bits.get(key.toLowerCase()) ?? 0
    if (bit !== BY_TYPE) return bit
    const type = Array.isArray(value) ? value.at(-1) : value
    if (type !== this.#lastType) {
      this.#lastType = type
      this.#lastTypeBit = DOCUMENT.test(String(type)) ? this.#documentBit : 0
    }
    return this.#lastTypeBit
  }

  #pairs(bits: number): [name: string, value: string][] {
    const headers = bits & this.#documentBit ? this.#documentHeaders : this.headers
    return Object.entries(headers).filter(([name, value]) => value !== '' && !(bits & this.#bits.get(name)!))
  }

  #write(bits: number): string {
    const lines = this.#pairs(bits).map(([name, value]) => `${name}: ${value}\r\n`)
    this.#lines.set(bits, lines.join(''))
    return lines.join('')
  }
}

/** @param headers names and values in turn, or pairs */
function pairsIn(headers: OutgoingHttpHeader[]): [name: string, value: unknown][] {
  if (Array.isArray(headers[0])) return headers as unknown as [string, unknown][]
  return headers.flatMap((name, i) => (i % 2 === 0 ? [[String(name), headers[i + 1]]] : []))
}

const HEADERS = Symbol('static headers')
type MarkedResponse = FastifyReply['raw'] & { [HEADERS]?: StaticHeaders }

/**
 * Adds headers to a response, in place of those that an earlier call has added. A header that a handler sets itself replaces
 * the static one.
 */
export function setStaticHeaders({ raw }: { raw: MarkedResponse }, headers: StaticHeaders): void {
  if (writeLinesFirst(raw, headers)) return
  // Responses of HTTP/2 and of `app.inject`.
  const isWaiting = raw[HEADERS] !== undefined
  raw[HEADERS] = headers
  if (isWaiting) return
  const { writeHead } = raw
  raw.writeHead = ((statusCode: number, ...rest: unknown[]) => {
    raw.writeHead = writeHead
    const given = [raw.getHeaders(), rest.find((argument) => typeof argument === 'object') as GivenHeaders]
    for (const [name, value] of raw[HEADERS]!.pairsBeside(given, statusCode)) raw.setHeader(name, value)
    return writeHead.call(raw, statusCode, ...(rest as []))
  }) as typeof writeHead
}
