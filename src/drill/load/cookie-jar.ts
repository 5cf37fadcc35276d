import type { Answer } from './parse-answer.ts'

/** The cookies of one client. Attributes do not count: there is one host, and the drill is short. */
export class CookieJar {
  readonly #cookies = new Map<string, string>()

  store({ cookies }: Answer): void {
    for (const cookie of cookies) {
      const [pair = ''] = cookie.split(';', 1)
      const at = pair.indexOf('=')
      const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
      if (value === '') this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
  }

  copy(): CookieJar {
    const jar = new CookieJar()
    for (const [name, value] of this.#cookies) jar.#cookies.set(name, value)
    return jar
  }

  /** The value of the header `Cookie`. */
  toString(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }
}
