import cluster from 'node:cluster'
import { hostname } from 'node:os'
import Fastify from 'fastify'

// The floor: Fastify on node:cluster with nothing shared; each worker answers from its own memory.

const host = hostname()
let hits = 0

async function serve(): Promise<void> {
  const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
  app.get('/readyz', () => ({ ready: true }))
  app.post('/hits', () => ({ hits: ++hits }))
  app.get('/', () => {
    const worker = { slot: Number(cluster.worker?.id), pid: process.pid, generation: 1 }
    return { hits: ++hits, visits: 1, worker, host }
  })
  await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT) })
}

if (process.env.SCHEDULING === 'shared') cluster.schedulingPolicy = cluster.SCHED_NONE
if (cluster.isPrimary) for (let n = 0; n < Number(process.env.WORKERS); n++) cluster.fork()
else await serve()
