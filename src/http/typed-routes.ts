import type { FastifyPluginAsync, FastifyPluginOptions, FastifyTypeProvider, RawServerDefault } from 'fastify'
import type { Static } from '../common/json-schema.ts'

/** Derives the types of a request and its answer from the JSON schemas of the route. */
interface SchemaTypeProvider extends FastifyTypeProvider {
  validator: Static<this['schema']>
  serializer: Static<this['schema']>
}

/** A Fastify plugin whose handlers are typed by the schemas of their routes. */
export type TypedRoutes = FastifyPluginAsync<FastifyPluginOptions, RawServerDefault, SchemaTypeProvider>
