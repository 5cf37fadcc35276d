import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Level } from '../../../admin/command.ts'

const digestOf = (text: string) => createHash('sha256').update(text).digest()

/** Identifies a token in logs without revealing it: the first 8 hex digits of its SHA-256. */
export const fingerprint = (token: string) => digestOf(token).toString('hex').slice(0, 8)

/** Returns the token in the `Authorization` header, the only place where tokens are accepted. */
export const bearerOf = ({ headers }: FastifyRequest) => /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]

/** The valid bearer tokens and their levels. */
export class Tokens {
  readonly #known: { digest: Buffer; level: Level }[]

  constructor({ control = [], read = [] }: { control?: string[] | undefined; read?: string[] | undefined }) {
    this.#known = [
      ...control.map((token) => ({ digest: digestOf(token), level: 'control' as const })),
      ...read.map((token) => ({ digest: digestOf(token), level: 'read' as const }))
    ]
  }

  /** Whether at least one token is configured. */
  get any(): boolean {
    return this.#known.length > 0
  }

  /**
   * Returns the level of a token; undefined when it is not valid. The time does not depend on the token: its digest is
   * compared with all known digests, each in constant time.
   */
  levelOf(token: string | undefined): Level | undefined {
    if (token === undefined) return undefined
    const digest = digestOf(token)
    let level: Level | undefined
    for (const known of this.#known) if (timingSafeEqual(known.digest, digest)) level = known.level
    return level
  }
}
