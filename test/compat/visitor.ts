export interface Answer {
  status: number
  headers: Headers
  text: string
  /** The body as JSON. Typed loosely: the checks compare it. */
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what the check is about
  json: any
}

export interface Ask {
  headers?: Record<string, string>
  json?: unknown
  form?: Record<string, string>
  body?: FormData | Buffer | string
}

/** A client that keeps cookies as a browser does and follows no redirect. */
export class Visitor {
  readonly #cookies = new Map<string, string>()
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask('GET', path, { headers })
  }

  async ask(method: string, path: string, { headers = {}, json, form, body }: Ask = {}): Promise<Answer> {
    const sent = json === undefined ? (form ? new URLSearchParams(form) : body) : JSON.stringify(json)
    const response = await fetch(new URL(path, this.#url), {
      method,
      redirect: 'manual',
      headers: {
        ...(this.#cookies.size > 0 && { cookie: [...this.#cookies].map((pair) => pair.join('=')).join('; ') }),
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...headers
      },
      ...(sent !== undefined && { body: sent as NonNullable<RequestInit['body']> })
    })
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    const text = await response.text()
    const isJson = text !== '' && /\bjson\b/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined }
  }

  #keep(line: string): void {
    const [pair = '', ...attributes] = line.split(/;\s*/)
    const at = pair.indexOf('=')
    const name = pair.slice(0, at)
    const isExpired = attributes.some((text) => {
      const [key = '', value = ''] = text.split('=')
      return /^max-age$/i.test(key) ? Number(value) <= 0 : /^expires$/i.test(key) && Date.parse(value) <= Date.now()
    })
    if (isExpired) this.#cookies.delete(name)
    else this.#cookies.set(name, pair.slice(at + 1))
  }
}
