import assert from 'node:assert/strict'
import { once } from 'node:events'
import { startApp } from '../helpers/app.ts'
import { Connection } from '../helpers/http.ts'
import { timed } from '../helpers/timed.ts'

const env = { KEEP_ALIVE_TIMEOUT: '300' }
/** Idle connections are kept for a second longer than their clients were told. Node's timers count whole milliseconds. */
const KEPT_MS = 300 + 1000 - 2

/** Sends a request on a new connection, which gets a response. @returns how long after the request the server ended it, in ms */
async function keptMsAfter(port: number, path: string): Promise<number> {
  const connection = await Connection.open(port)
  const since = performance.now()
  assert.equal((await connection.request('GET', path)).status, 200)
  await once(connection.socket, 'end')
  return performance.now() - since
}

timed('an idle connection ends a second after the time that its client was told', async (t) => {
  const { port } = await startApp(t, { listen: true, env })
  const keptMs = await keptMsAfter(port, '/livez')
  assert.ok(keptMs >= KEPT_MS && keptMs < KEPT_MS + 2000, `kept for ${keptMs} ms`)
})

timed('a timeout that a route sets ends with its response', async (t) => {
  const { port } = await startApp(t, {
    listen: true,
    env,
    routes: async (app) => {
      app.get('/quick', async (_request, reply) => {
        reply.raw.setTimeout(100)
        return 'quick'
      })
    }
  })
  const keptMs = await keptMsAfter(port, '/quick')
  assert.ok(keptMs >= KEPT_MS, `kept for ${keptMs} ms`)
})
