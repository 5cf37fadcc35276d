import { readFileSync } from 'node:fs'

/** What the kernel says of a process at one moment; its main thread is the one that runs the event loop. */
export interface ProcessStat {
  /** When it was read, in ms of `performance.now()`. */
  at: number
  /** CPU time of the main thread since its start, in ms. */
  cpuMs: number
  /** For how long the main thread could have run and had no CPU, in ms; a CPU quota used up counts as such. */
  waitMs?: number
  /** The main thread: R runs or could, S sleeps, D sleeps uninterruptibly, T and t are stopped, Z is dead; proc(5). */
  state: string
  rssBytes: number
}

/** What /proc counts CPU time in: sysconf(_SC_CLK_TCK) is 100 on every Linux platform of node. */
const TICK_MS = 10

/** Linux only, from /proc. Undefined elsewhere, and when there is no such process. */
export function readProcessStat(pid: number): ProcessStat | undefined {
  const thread = `/proc/${pid}/task/${pid}`
  const stat = readText(`${thread}/stat`)
  const status = readText(`/proc/${pid}/status`)
  if (stat === undefined || status === undefined) return undefined
  // The name of the program comes second, in parentheses, and may have any character in it.
  const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[10]) + Number(fields[11])
  // In ns, exact; all zero where the kernel keeps no such account.
  const [run = 0, wait = 0] = (readText(`${thread}/schedstat`) ?? '').split(' ').map(Number)
  return {
    at: performance.now(),
    cpuMs: run > 0 ? run / 1e6 : ticks * TICK_MS,
    ...(run > 0 && { waitMs: wait / 1e6 }),
    state,
    rssBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
  }
}

/** Where in the kernel the main thread sleeps, as far as it may be read: a function's name, a system call's number. */
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
