import type { OutgoingHttpHeader } from 'node:http'
import type { FastifyReply } from 'fastify'
import { type GivenHeaders, type HeaderLines, writeLinesFirst } from '../../../node-internals/http-server.ts'

/** Headers that are the same in every response, kept as the text that is sent. */
export class StaticHeaders implements HeaderLines {
  readonly headers: Readonly<Record<string, string>>
  /** Lines by the names that are left out of them. */
  readonly #lines = new Map<string, string>()

  /** @param headers by lower-case names; names and values are not checked */
  constructor(headers: Readonly<Record<string, string>>) {
    this.headers = Object.freeze(headers)
  }

  linesBeside(given: GivenHeaders): string {
    let omitted = ''
    const omit = (key: string) => {
      const name = key.toLowerCase()
      if (name in this.headers) omitted += `${name} `
    }
    if (Array.isArray(given)) for (const key of namesIn(given)) omit(key)
    else for (const key in given) omit(key)
    return this.#lines.get(omitted) ?? this.#write(omitted)
  }

  #write(omitted: string): string {
    const names = omitted.split(' ')
    const kept = Object.entries(this.headers).filter(([name]) => !names.includes(name))
    const lines = kept.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    this.#lines.set(omitted, lines)
    return lines
  }
}

/** @param headers names and values in turn, or pairs */
function namesIn(headers: OutgoingHttpHeader[]): string[] {
  if (Array.isArray(headers[0])) return headers.map((pair) => (pair as string[])[0]!)
  return headers.filter((_, i) => i % 2 === 0).map(String)
}

/** Adds headers to a response. A header that a handler sets itself replaces the static one. */
export function setStaticHeaders(reply: FastifyReply, headers: StaticHeaders): void {
  if (!writeLinesFirst(reply.raw, headers)) void reply.headers(headers.headers)
}
