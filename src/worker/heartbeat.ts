import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Heartbeat } from '../ipc/messages.ts'
import { EVENT_LOOP_RESOLUTION_MS, HEARTBEAT_MS } from '../ipc/messages.ts'
import type { Connections } from './connections/connections.ts'

/**
 * Sends a heartbeat every second from the event loop. The primary takes silence as a sign that the event loop does not turn,
 * so heartbeats never come from another thread or timer.
 */
export function startHeartbeat(connections: Connections, send: (heartbeat: Heartbeat) => void): void {
  const delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS })
  delay.enable()
  let before = performance.eventLoopUtilization()
  let memory = process.memoryUsage()
  setInterval(() => {
    const now = performance.eventLoopUtilization()
    try {
      memory = process.memoryUsage()
    } catch {
      // It opens a file, and this process may be out of file descriptors. The next heartbeat tries again.
    }
    send({
      ...connections.count(),
      loopDelayMs: Math.round(delay.percentile(99) / 1e4) / 100,
      utilization: Math.round(performance.eventLoopUtilization(now, before).utilization * 1000) / 1000,
      rssBytes: memory.rss,
      heapBytes: memory.heapUsed
    })
    before = now
    delay.reset()
  }, HEARTBEAT_MS).unref()
}
