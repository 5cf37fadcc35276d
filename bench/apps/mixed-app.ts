import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import mixed from './mixed.ts'

/** The app of the reload bench without muster. Event streams get their last event when it closes, or when `drain` is called. */
export async function build({ return503OnClosing = true } = {}): Promise<{ app: FastifyInstance; drain: () => void }> {
  const draining = new AbortController()
  const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' }, return503OnClosing })
  app.decorate('draining', draining.signal)
  app.addHook('preClose', async () => draining.abort())
  app.get('/readyz', () => ({ ready: true }))
  await app.register(await servedApp())
  return { app, drain: () => draining.abort() }
}

/** The app that BENCH_APP names, as it is on disk now. */
async function servedApp(): Promise<FastifyPluginAsync> {
  const { BENCH_APP } = process.env
  if (!BENCH_APP) return mixed
  return ((await import(BENCH_APP)) as { default: FastifyPluginAsync }).default
}

/** What Watt calls. It closes the app when the worker is replaced. */
export const create = async (): Promise<FastifyInstance> => (await build()).app

/** A worker of PM2, which says with SIGINT that the worker is replaced. */
export async function serve(): Promise<void> {
  const { app } = await build()
  process.once('SIGINT', async () => {
    await app.close()
    process.exit(0)
  })
  await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT) })
}
