import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

const WINDOW_MS = 100
/** An event loop that works or waits for a CPU for this share of the time is busy. */
const BUSY_SHARE = 0.7

/** Returns whether the event loop of this process has needed a CPU most of the time, lately. It is measured ten times a second at most. */
export const isLoopBusy = createLoadMeter(kernelDemandMs() === undefined ? loopActiveMs : () => kernelDemandMs() ?? 0)

/** @param demandMs for how long the event loop has needed a CPU since some moment, in ms */
export function createLoadMeter(demandMs: () => number): () => boolean {
  let before = demandMs()
  let readAt = performance.now()
  let isBusy = false
  return () => {
    const now = performance.now()
    if (now - readAt < WINDOW_MS) return isBusy
    const current = demandMs()
    isBusy = current - before > BUSY_SHARE * (now - readAt)
    before = current
    readAt = now
    return isBusy
  }
}

/**
 * Returns for how long the main thread has run or has waited for a CPU since its start, in ms; undefined where the kernel does not tell.
 * Node's event loop utilization counts the wait for a CPU after a poll as idle: with a connection per request on two cores, it is 0.75
 * where the main thread needs a CPU for 0.9 of the time.
 */
function kernelDemandMs(): number | undefined {
  try {
    return demandOf(readFileSync('/proc/self/schedstat', 'utf8'))
  } catch {
    return undefined
  }
}

/** @param schedstat time running and time waiting, in ns, and a number; all zero when the kernel keeps no account */
export function demandOf(schedstat: string): number | undefined {
  const [run = 0, wait = 0] = schedstat.split(' ').map(Number)
  return run > 0 ? (run + wait) / 1e6 : undefined
}

function loopActiveMs(): number {
  return performance.eventLoopUtilization().active
}
