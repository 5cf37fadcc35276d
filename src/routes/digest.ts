import { scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'

const derive = promisify(scrypt) as (text: string, salt: string, length: number) => Promise<Buffer>
const Params = Type.Object({ text: Type.String({ maxLength: 64 }) })
const Digest = Type.Object({ digest: Type.String(), computedAt: Type.String(), slot: Type.Integer() })

/** Slow on purpose, and always the same: each worker computes it once a minute and remembers it, until `cache-clear`. */
export const digest: FastifyPluginAsyncTypebox = async (app) => {
  const cache = app.shared.cache<Static<typeof Digest>>('digests', { max: 1000, ttlMs: 60_000 })
  const schema = { params: Params, response: { 200: Digest } }
  app.get('/digest/:text', { schema, config: { session: false } }, ({ params: { text } }) =>
    cache.get(text, async () => ({
      digest: (await derive(text, 'muster', 32)).toString('hex'),
      computedAt: new Date().toISOString(),
      slot: app.self.slot
    }))
  )
}
