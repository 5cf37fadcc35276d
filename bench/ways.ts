import { fileURLToPath } from 'node:url'
import type { Program } from './servers.ts'

interface Way {
  readonly file: string
  readonly env: Readonly<Record<string, string>>
  /** What it is, for the reader of the table. */
  readonly about: string
}

const rolling = (way: string, about: string): Way => ({ file: './apps/rolling.js', env: { WAY: way }, about })

/** The ways of replacing a worker that are compared, in the order of the table. */
export const ways = {
  muster: {
    file: '../src/main.js',
    // the end of a restart is read from its log; the routes of the load write no line at this level
    env: { APP: fileURLToPath(new URL('./apps/mixed.js', import.meta.url)), LOG_LEVEL: 'info' },
    about: 'this service: idle connections are handed to another worker, busy ones right after their last answer'
  },
  'server.close': rolling('server.close', "node:cluster; the old worker calls node's `server.close()`"),
  'worker.disconnect': rolling('worker.disconnect', 'node:cluster; the primary calls `worker.disconnect()`'),
  'fastify.close': rolling(
    'fastify.close',
    "node:cluster; the old worker calls Fastify's `app.close()` at its defaults"
  ),
  'fastify.close-no503': rolling('fastify.close-no503', 'the same with `return503OnClosing: false`')
} as const satisfies Record<string, Way>

export type WayName = keyof typeof ways

/** All get the same time to stop a worker: muster reads DRAIN_TIMEOUT too. */
export function programOf(name: WayName, stopMs: number): Program {
  const { file, env } = ways[name]
  return { name, file, env: { ...env, DRAIN_TIMEOUT: String(stopMs) } }
}
