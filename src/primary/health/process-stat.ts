import { readFileSync } from 'node:fs'

/** The kernel's account of a process at one moment. The main thread is the one that runs the event loop. */
export interface ProcessStat {
  /** When it was read, in ms of `performance.now()`. */
  at: number
  /** CPU time of the main thread since its start, in ms. */
  cpuMs: number
  /** How long the main thread was runnable without a CPU, in ms, including the time in which a CPU quota was used up. */
  waitMs?: number
  /** State of the main thread: R running or runnable, S asleep, D in uninterruptible sleep, T and t stopped, Z dead; proc(5). */
  state: string
  rssBytes: number
}

/** The unit of CPU time in /proc: sysconf(_SC_CLK_TCK) is 100 on every Linux platform of Node. */
const TICK_MS = 10

/** Reads /proc. @returns undefined if there is no such process, or no /proc */
export function readProcessStat(pid: number): ProcessStat | undefined {
  const thread = `/proc/${pid}/task/${pid}`
  const stat = readText(`${thread}/stat`)
  const status = readText(`/proc/${pid}/status`)
  if (stat === undefined || status === undefined) return undefined
  // The program's name is the second field, in parentheses. It may contain any character.
  const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[10]) + Number(fields[11])
  // In ns and exact; all zero if the kernel does not keep this account.
  const [run = 0, wait = 0] = (readText(`${thread}/schedstat`) ?? '').split(' ').map(Number)
  return {
    at: performance.now(),
    cpuMs: run > 0 ? run / 1e6 : ticks * TICK_MS,
    ...(run > 0 && { waitMs: wait / 1e6 }),
    state,
    rssBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
  }
}

/** Returns where in the kernel the main thread sleeps: the name of a function and the number of a system call, if they are readable. */
export function readSleep(pid: number): { wchan?: string; syscall?: string } {
  const wchan = readText(`/proc/${pid}/wchan`)
  const [syscall] = (readText(`/proc/${pid}/syscall`) ?? '').trim().split(' ')
  return { ...(wchan && wchan !== '0' && { wchan }), ...(syscall && syscall !== 'running' && { syscall }) }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
