import { readdirSync, readFileSync } from 'node:fs'

/** CPU time used so far, in nanoseconds, by process id. */
export type CpuTimes = ReadonlyMap<number, number>

/** The process and all its descendants now, by the parent ids in /proc/<pid>/stat; without /proc the process alone. */
export function descendants(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const pid of numbersIn('/proc')) {
    const parent = parentOf(pid)
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

/**
 * User and system time of every thread that lives, from /proc/<pid>/task/<tid>/schedstat: nanoseconds, where
 * /proc/<pid>/stat only knows hundredths of a second. NaN where the kernel does not tell.
 */
export function cpuTimes(pids: readonly number[]): CpuTimes {
  return new Map(pids.map((pid) => [pid, cpuOf(pid)]))
}

/** CPU microseconds used between two readings; NaN when processes died meanwhile and took their account along. */
export function cpuBetween(before: CpuTimes, after: CpuTimes): { micros: number; gone: number } {
  const gone = [...before.keys()].filter((pid) => !after.has(pid)).length
  let nanos = gone > 0 ? Number.NaN : 0
  for (const [pid, time] of after) nanos += time - (before.get(pid) ?? 0)
  return { micros: nanos / 1000, gone }
}

/**
 * Proportional set size in MiB, summed from /proc/<pid>/smaps_rollup: a page that several processes map counts
 * once, in equal shares. So the shares of node's own code fall when more node processes run: read all the
 * servers that are compared while all of them live. NaN where the kernel does not tell.
 */
export function pssMiB(pids: readonly number[]): number {
  let kib = 0
  for (const pid of pids) {
    const line = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))
    kib += Number(line?.[1] ?? Number.NaN)
  }
  return kib / 1024
}

function cpuOf(pid: number): number {
  let nanos = 0
  const threads = numbersIn(`/proc/${pid}/task`)
  for (const thread of threads)
    nanos += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] || Number.NaN)
  return threads.length > 0 ? nanos : Number.NaN
}

function parentOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`)
  // the name before the fields is free text in brackets, brackets included: what counts comes after the last one
  const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
  return parent === undefined ? undefined : Number(parent)
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder).map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
