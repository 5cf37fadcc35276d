import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { build } from './mixed-app.ts'

// A rolling restart on SIGHUP as the documentation of node:cluster and of Fastify tells one to write it: start the new
// worker, wait until it listens, tell the old one to shut down, kill it when it has not left in time, go on to the
// next. WAY names the call that shuts down. Event streams get their last event before it, whatever the call is.

const way = process.env.WAY
const patienceMs = Number(process.env.DRAIN_TIMEOUT)

async function start(): Promise<Worker> {
  const worker = cluster.fork()
  await once(worker, 'listening')
  return worker
}

async function replace(workers: Worker[], slot: number): Promise<void> {
  const old = workers[slot]
  workers[slot] = await start()
  if (!old) return
  const exited = once(old, 'exit')
  old.send('shutdown')
  if (way === 'worker.disconnect') old.disconnect()
  // worker.kill() would wait for the connections too
  const timer = setTimeout(() => old.process.kill('SIGKILL'), patienceMs)
  await exited
  clearTimeout(timer)
}

async function primary(): Promise<void> {
  const started = Promise.all(Array.from({ length: Number(process.env.WORKERS) }, start))
  const restart = async () => {
    const workers = await started
    for (const slot of workers.keys()) await replace(workers, slot)
    console.log('rollout done')
  }
  let last: Promise<unknown> = started
  process.on('SIGHUP', () => {
    last = last.then(restart)
  })
  process.on('SIGTERM', () => process.exit(0))
  await started
}

async function serve(): Promise<void> {
  const { app, drain } = await build({ return503OnClosing: way !== 'fastify.close-no503' })
  await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT) })
  process.on('message', async (message) => {
    if (message !== 'shutdown') return
    drain()
    if (way === 'server.close') app.server.close(() => process.exit(0))
    if (way?.startsWith('fastify.close')) {
      await app.close()
      process.exit(0)
    }
  })
}

if (cluster.isPrimary) await primary()
else await serve()
