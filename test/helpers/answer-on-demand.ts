import { EventEmitter, once } from 'node:events'
import type { TestContext } from 'node:test'
import { startApp } from './app.ts'

/** Starts a worker's app that listens. `GET /slow` emits `asked` on `events`, and is answered when the test emits `answer`. */
export async function startOnDemand(t: TestContext) {
  const events = new EventEmitter()
  const { port, connections } = await startApp(t, {
    listen: true,
    routes: async (app) => {
      app.get('/slow', { config: { session: false } }, () => {
        events.emit('asked')
        return once(events, 'answer')
      })
    }
  })
  return { port, connections: connections!, events }
}
