import { initTRPC } from '@trpc/server'
import { fastifyTRPCPlugin } from '@trpc/server/adapters/fastify'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

const t = initTRPC.create()
const router = t.router({
  add: t.procedure.input(z.object({ x: z.number(), y: z.number() })).query(({ input }) => input.x + input.y),
  shout: t.procedure.input(z.string()).mutation(({ input }) => input.toUpperCase())
})

export default async function (app: FastifyInstance) {
  await app.register(fastifyTRPCPlugin, { prefix: '/trpc', trpcOptions: { router } })
}
