import type { FastifyInstance, FastifyPluginAsync } from 'fastify'

/**
 * Registers plugins in a scope of their own that has no routes, so that none of their hooks ever runs and the app gets none of
 * their decorators: it can register the same plugins itself.
 * @param register registers them, and returns what is needed of the scope. Not the scope: it is a thenable
 */
export async function registerApart<Needed extends object>(
  app: FastifyInstance,
  register: (scope: FastifyInstance) => Promise<Needed>
): Promise<Needed> {
  let needed!: Needed
  const plugin: FastifyPluginAsync = async (scope) => {
    needed = await register(scope)
  }
  await app.register(plugin)
  return needed
}
