import { scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { object, type Static, type TypedRoutes } from '../index.ts'

const CACHE_MS = 60_000
const DIGEST_BYTES = 32

const derive = promisify(scrypt) as (text: string, salt: string, length: number) => Promise<Buffer>
const Params = object({ text: { type: 'string', maxLength: 64 } })
const Digest = object({ digest: { type: 'string' }, computedAt: { type: 'string' }, slot: { type: 'integer' } })

/** `/digest/:text`: a slow computation. Each worker caches the result for a minute; the command `cache-clear` empties all caches. */
export const digest: TypedRoutes = async (app) => {
  const cache = app.shared.cache<Static<typeof Digest>>('digests', { max: 1000, ttlMs: CACHE_MS })
  const schema = { params: Params, response: { 200: Digest } }
  app.get('/digest/:text', { schema, config: { session: false } }, ({ params: { text } }) =>
    cache.get(text, async () => ({
      digest: (await derive(text, 'muster', DIGEST_BYTES)).toString('hex'),
      computedAt: new Date().toISOString(),
      slot: app.worker.slot
    }))
  )
}
