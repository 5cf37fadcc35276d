/**
 * `node:test` for tests that assert a time. scripts/test.mjs runs the files that import this module apart: few at a time, and
 * without coverage, which slows down the code under test.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export { describe as timedDescribe, test as timed } from 'node:test'

const TICK_MS = 10
let stalledMs = 0
let last = performance.now()

setInterval(() => {
  const now = performance.now()
  stalledMs += Math.max(0, now - last - TICK_MS)
  last = now
}, TICK_MS).unref()

/**
 * Starts a stopwatch that leaves out the time in which this process or others of the machine got no CPU time: for upper limits of durations.
 * @returns reads it, in ms
 */
export function stopwatch(): () => number {
  const [startedAt, stalledBefore, waitedBefore] = [performance.now(), stalledMs, cpuWaitMs()]
  return () => performance.now() - startedAt - Math.max(stalledMs - stalledBefore, cpuWaitMs() - waitedBefore)
}

/**
 * Returns how long processes of this machine have waited for a CPU since its start, in ms: at least one of them. What other processes
 * take is left out of a duration so. 0 where the kernel does not count it.
 */
export function cpuWaitMs(): number {
  try {
    return Number(/^some .* total=(\d+)/m.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1] ?? 0) / 1000
  } catch {
    return 0
  }
}

/** A clock that stands still while a process of this machine waits for a CPU, in ms: for upper limits of durations. */
export const unhinderedMs = (): number => performance.now() - cpuWaitMs()

/** A machine that starts an empty process of Node in this time is fast enough for limits in ms. */
const EMPTY_START_MS = 60
const EMPTY_STARTS = 9

/** Returns the limit for what mostly starts processes of Node, in ms: longer than `ms` on a machine that is now slow at this. */
export function startLimitMs(ms: number): number {
  const starts = Array.from({ length: EMPTY_STARTS }, () => {
    const beganAt = unhinderedMs()
    execFileSync(process.execPath, ['--eval', ''])
    return unhinderedMs() - beganAt
  })
  const median = starts.sort((a, b) => a - b)[(EMPTY_STARTS - 1) / 2]!
  return ms * Math.max(1, median / EMPTY_START_MS)
}
