import type { ProcessStat } from './process-stat.ts'

export interface Liveness {
  /** `hung`: the worker does not recover by itself, or not soon enough. `starved`: it lacks CPU; examine it again later. */
  verdict: 'hung' | 'starved'
  cause: string
}

/** If a thread waited for a CPU for more than this part of its silence, being asleep may be due to an overloaded machine. */
const STARVED_RATIO = 0.25

/**
 * Decides whether a silent worker hangs or is starved of CPU. Pure.
 *
 * An event loop that turns sends heartbeats whenever it gets CPU time, so silence is measured in CPU time and not in wall time.
 * On a machine overloaded 8:1, a healthy worker may be silent for long because it got little CPU. An endless loop has used all
 * the CPU it was given: a worker that used half of the timeout without a heartbeat hangs. On an idle machine an endless loop
 * has used twice that at the first examination, on one overloaded 2:1 exactly that, and with less CPU the verdict comes later.
 *
 * A thread that sleeps is blocked in a system call: a loop that waits for events in epoll wakes up for its heartbeat. The
 * exception is a thread that waited for a CPU for much of its silence. It may be asleep for a moment, because it waits for a
 * page, or for a helper thread of V8 that is starved as well. A blocked thread does not wait for a CPU, so this part shrinks
 * with each examination.
 *
 * @param before the state at the last heartbeat
 * @param timeoutMs the silence that is allowed; default: the time since `before`
 */
export function assessLiveness(before: ProcessStat, now: ProcessStat, timeoutMs = now.at - before.at): Liveness {
  const silentMs = now.at - before.at
  const cpuMs = now.cpuMs - before.cpuMs
  const waitedMs = (now.waitMs ?? 0) - (before.waitMs ?? 0)
  const usage = `${Math.round(cpuMs)} ms of CPU in ${Math.round(silentMs)} ms`
  if (/^[Tt]$/.test(now.state)) return { verdict: 'hung', cause: 'stopped by a signal or a debugger' }
  if (/^[ZX]$/.test(now.state)) return { verdict: 'hung', cause: 'its main thread has ended' }
  if (cpuMs >= timeoutMs / 2) return { verdict: 'hung', cause: `its event loop used ${usage} without turning` }
  if (now.state === 'R' || waitedMs >= silentMs * STARVED_RATIO) {
    return { verdict: 'starved', cause: `it had ${usage} and waited ${Math.round(waitedMs)} ms for more` }
  }
  return { verdict: 'hung', cause: `asleep in a system call (state ${now.state}), with ${usage}` }
}
