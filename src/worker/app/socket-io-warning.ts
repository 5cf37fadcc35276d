import { createRequire } from 'node:module'
import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'

/** A file of the package that socket.io is built on, in any kind of node_modules folder. */
const ENGINE = /[\\/]engine\.io[\\/]/

/**
 * Warns when the app has loaded socket.io and the requests of one client may go to different workers. A client starts with several
 * requests of one session (long polling), which only the worker that has the session can answer.
 */
export function warnOfSocketIo({ scheduling, workers }: Config, log: Logger): void {
  if (scheduling === 'sticky' || workers < 2) return
  const loaded = Object.keys(createRequire(import.meta.url).cache)
  if (!loaded.some((file) => ENGINE.test(file))) return
  const remedy = 'set SCHEDULING=sticky, or let all clients use transports: ["websocket"]'
  log.warn({ scheduling, workers, remedy }, 'socket.io clients may reach different workers')
}
