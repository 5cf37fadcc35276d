import { scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { object, type Static } from '../common/json-schema.ts'
import type { TypedRoutes } from '../http/typed-routes.ts'

const derive = promisify(scrypt) as (text: string, salt: string, length: number) => Promise<Buffer>
const Params = object({ text: { type: 'string', maxLength: 64 } })
const Digest = object({ digest: { type: 'string' }, computedAt: { type: 'string' }, slot: { type: 'integer' } })

/** Slow on purpose, and always the same: each worker computes it once a minute and remembers it, until `cache-clear`. */
export const digest: TypedRoutes = async (app) => {
  const cache = app.shared.cache<Static<typeof Digest>>('digests', { max: 1000, ttlMs: 60_000 })
  const schema = { params: Params, response: { 200: Digest } }
  app.get('/digest/:text', { schema, config: { session: false } }, ({ params: { text } }) =>
    cache.get(text, async () => ({
      digest: (await derive(text, 'muster', 32)).toString('hex'),
      computedAt: new Date().toISOString(),
      slot: app.worker.slot
    }))
  )
}
