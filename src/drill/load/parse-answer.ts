export interface Answer {
  status: number
  /** By lower-case name. Of a header that occurs several times, the last one. */
  headers: Readonly<Record<string, string>>
  /** The values of all `Set-Cookie` headers. */
  cookies: string[]
  body: string
}

/** What an answer has in place of a body of known length. */
const WITHOUT_BODY = new Set([204, 304])

/**
 * Parses the first answer of a connection. Pure.
 * @param text what has arrived, in Latin-1
 * @param atEnd nothing more will arrive
 * @returns the answer and its length in `text`; undefined while it is incomplete
 */
export function parseAnswer(text: string, atEnd = false): { answer: Answer; end: number } | undefined {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const [start = '', ...lines] = text.slice(0, headEnd).split('\r\n')
  const fields = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  const headers = Object.fromEntries(fields)
  const cookies = fields.flatMap(([name, value]) => (name === 'set-cookie' ? [value] : []))
  const status = Number(start.split(' ')[1])
  const begin = headEnd + 4
  const found = WITHOUT_BODY.has(status) ? { body: '', end: begin } : bodyOf(text, begin, headers, atEnd)
  if (!found) return undefined
  return { answer: { status, headers, cookies, body: Buffer.from(found.body, 'latin1').toString() }, end: found.end }
}

function bodyOf(text: string, begin: number, headers: Record<string, string>, atEnd: boolean) {
  if (headers['transfer-encoding']?.toLowerCase() === 'chunked') return chunksOf(text, begin)
  const length = headers['content-length']
  // Without a length, the end of the connection is the end of the body.
  if (length === undefined) return atEnd ? { body: text.slice(begin), end: text.length } : undefined
  const end = begin + Number(length)
  return text.length < end ? undefined : { body: text.slice(begin, end), end }
}

function chunksOf(text: string, begin: number): { body: string; end: number } | undefined {
  let body = ''
  for (let at = begin; ; ) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    const next = lineEnd + 2 + size + 2
    if (text.length < next) return undefined
    if (size === 0) return { body, end: next }
    body += text.slice(lineEnd + 2, next - 2)
    at = next
  }
}

/** @returns undefined for a body that is no JSON object */
export function objectIn({ headers, body }: Answer): Record<string, unknown> | undefined {
  if (!headers['content-type']?.includes('json')) return undefined
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
