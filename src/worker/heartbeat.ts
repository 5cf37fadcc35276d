import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Heartbeat } from '../ipc/messages.ts'
import { HEARTBEAT_MS } from '../ipc/messages.ts'
import type { Connections } from './connections/connections.ts'

/**
 * Says every second from the event loop how this worker is. Silence is what says that the loop does not turn, so nothing
 * else may send for it: no thread, no timer of another kind.
 */
export function startHeartbeat(connections: Connections, tell: (vitals: Heartbeat) => void): void {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  let before = performance.eventLoopUtilization()
  let memory = process.memoryUsage()
  setInterval(() => {
    const now = performance.eventLoopUtilization()
    try {
      memory = process.memoryUsage()
    } catch {
      // It opens a file, and this process may be out of descriptors; a second later there may be some.
    }
    tell({
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
