import type { ProcessStat } from './process-stat.ts'

export interface Liveness {
  /** Wedged: it will not come back by itself, or costs too much until then. Starved: look again later. */
  verdict: 'wedged' | 'starved'
  why: string
}

/** Above this part of the silence spent waiting for a CPU, a thread found asleep may be one of an overloaded machine. */
const WAITING = 0.25

/**
 * What ails a worker that has been silent since `before`, taken at its last heartbeat. Pure.
 *
 * An event loop that turns says so whenever it gets CPU, so CPU is what its silence is measured in, and not time: on a
 * machine overloaded 8:1 a busy but healthy worker may be silent for long and has had little, while an endless loop has
 * had as much as it was given. With half the timeout of it and no heartbeat it is wedged: on an idle machine an endless
 * loop has had twice that at the first look; on one overloaded 2:1 just that; with less the verdict comes when its CPU
 * time has added up.
 *
 * One that sleeps is blocked: a loop that waits for events in epoll wakes for its heartbeat and sends it. Except where
 * much of the silence was spent waiting for a CPU: there a thread may be found asleep for a moment (it waits for a page,
 * or for a helper thread of V8, which is starved as well). One that is really blocked waits no more, so that this part
 * shrinks from look to look.
 *
 * @param timeoutMs silence that is allowed, in ms; by default as long as this one
 */
export function assessLiveness(before: ProcessStat, now: ProcessStat, timeoutMs = now.at - before.at): Liveness {
  const silent = now.at - before.at
  const cpu = now.cpuMs - before.cpuMs
  const waited = (now.waitMs ?? 0) - (before.waitMs ?? 0)
  const figures = `${Math.round(cpu)} ms of CPU in ${Math.round(silent)} ms`
  if (/^[Tt]$/.test(now.state)) return { verdict: 'wedged', why: 'stopped, by a signal or a debugger' }
  if (/^[ZX]$/.test(now.state)) return { verdict: 'wedged', why: 'its main thread has ended' }
  if (cpu >= timeoutMs / 2) return { verdict: 'wedged', why: `its event loop used ${figures} without turning` }
  if (now.state === 'R' || waited >= silent * WAITING) {
    return { verdict: 'starved', why: `it had ${figures} and waited ${Math.round(waited)} ms for more` }
  }
  return { verdict: 'wedged', why: `asleep in a system call (state ${now.state}), with ${figures}` }
}
