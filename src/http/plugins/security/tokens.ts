import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Level } from '../../../admin/command.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Names a token without telling it: the first 8 hex digits of its SHA-256. */
export const fingerprint = (token: string) => digest(token).toString('hex').slice(0, 8)

/** The token of a request: from its header, and from nowhere else. */
export const bearerOf = ({ headers }: FastifyRequest) => /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]

/** The bearer tokens that are valid, and what each is good for. */
export class Tokens {
  readonly #known: { digest: Buffer; level: Level }[]

  constructor({ control = [], read = [] }: { control?: string[] | undefined; read?: string[] | undefined }) {
    this.#known = [
      ...control.map((token) => ({ digest: digest(token), level: 'control' as const })),
      ...read.map((token) => ({ digest: digest(token), level: 'read' as const }))
    ]
  }

  get any(): boolean {
    return this.#known.length > 0
  }

  /** Takes as long whatever is in the token: digests are compared, in constant time, with all that are known. */
  levelOf(token: string | undefined): Level | undefined {
    if (token === undefined) return undefined
    const given = digest(token)
    let level: Level | undefined
    for (const known of this.#known) if (timingSafeEqual(known.digest, given)) level = known.level
    return level
  }
}
