import { setTimeout as sleep } from 'node:timers/promises'
import { IdleConnections } from './load/idle.ts'
import { Load } from './load/load.ts'
import { pssMiB } from './measure.ts'
import { type ServerName, startServer } from './recipes.ts'
import type { ServerSettings } from './servers.ts'

/** Memory of a server that runs alone, after some load. */
export interface Fresh {
  readonly server: ServerName
  readonly processes: number
  readonly pssMiB: number
  /** What an idle keep-alive connection adds; NaN where none was held. */
  readonly idleKiB: number
}

/** What a connection may be idle for, at all servers alike: longer than this measurement takes. */
const keptMs = String(120_000)
const loadSeconds = 2
const settleMs = 2000

/**
 * Starts a server with no other beside it, for whose processes share node's code would share it with these, and reads its
 * memory after hits and pages, and again with idle connections.
 */
export async function measureFresh(
  name: ServerName,
  settings: ServerSettings & { readonly connections: number; readonly idle: number }
): Promise<Fresh> {
  const { connections, idle } = settings
  const server = await startServer(name, settings, { KEEP_ALIVE_TIMEOUT: keptMs })
  const load = new Load()
  const held = new IdleConnections()
  try {
    const { url, shared } = server
    for (const row of ['hit', 'session'] as const) {
      await load.run({ row, url, connections, seconds: loadSeconds, shared }, () => undefined)
    }
    await sleep(settleMs)
    const pids = server.pids()
    const before = pssMiB(pids)
    await held.hold(url, idle)
    await sleep(settleMs)
    const idleKiB = idle > 0 ? ((pssMiB(pids) - before) * 1024) / idle : Number.NaN
    const each = idle > 0 ? `, ${idleKiB.toFixed(1)} KiB an idle connection` : ''
    console.error(`memory ${name}: ${Math.round(before)} MiB${each}`)
    return { server: name, processes: pids.length, pssMiB: before, idleKiB }
  } finally {
    held.release()
    load.stop()
    await server.stop()
  }
}
