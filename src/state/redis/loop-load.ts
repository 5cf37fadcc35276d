import { performance } from 'node:perf_hooks'

const WINDOW_MS = 100
/** An event loop that works for this share of the time is busy. */
const BUSY_SHARE = 0.9

let before = performance.eventLoopUtilization()
let readAt = performance.now()
let isBusy = false

/** Returns whether the event loop of this process has worked nearly all the time, lately. It is measured ten times a second at most. */
export function isLoopBusy(): boolean {
  const now = performance.now()
  if (now - readAt < WINDOW_MS) return isBusy
  const current = performance.eventLoopUtilization()
  isBusy = performance.eventLoopUtilization(current, before).utilization > BUSY_SHARE
  before = current
  readAt = now
  return isBusy
}
