import type { FastifyPluginAsync, FastifyPluginOptions, FastifyTypeProvider, RawServerDefault } from 'fastify'
import type { Static } from '../common/json-schema.ts'

/** What a request has is of the types that the schemas of its route say. */
interface BySchema extends FastifyTypeProvider {
  validator: Static<this['schema']>
  serializer: Static<this['schema']>
}

/** A plugin whose handlers have those types. */
export type TypedRoutes = FastifyPluginAsync<FastifyPluginOptions, RawServerDefault, BySchema>
