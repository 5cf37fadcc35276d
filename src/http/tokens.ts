import { createHash, timingSafeEqual } from 'node:crypto'
import type { Level } from '../admin/registry.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Names a token without telling it: the first 8 hex digits of its SHA-256. */
export const fingerprint = (token: string) => digest(token).toString('hex').slice(0, 8)

/** The bearer tokens that are valid, and what each is good for. */
export class Tokens {
  readonly #known: { digest: Buffer; level: Level }[]

  constructor({
    controlTokens = [],
    readTokens = []
  }: { controlTokens?: string[] | undefined; readTokens?: string[] | undefined }) {
    this.#known = [
      ...controlTokens.map((token) => ({ digest: digest(token), level: 'control' as const })),
      ...readTokens.map((token) => ({ digest: digest(token), level: 'read' as const }))
    ]
  }

  get any(): boolean {
    return this.#known.length > 0
  }

  /** Takes as long whatever is in the token: digests are compared, in constant time, with all that are known. */
  levelOf(token: string): Level | undefined {
    const given = digest(token)
    let level: Level | undefined
    for (const known of this.#known) if (timingSafeEqual(known.digest, given)) level = known.level
    return level
  }
}
