import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const running = new Set<ChildProcess>()
const folders = new Set<string>()
let reaper: ChildProcess | undefined

/** Kills the process groups that it has read as soon as its input ends, which it does even when the bench is killed. */
const reaping = 'while read group; do set -- "$@" "-$group"; done; [ $# -eq 0 ] || kill -s KILL -- "$@" 2>/dev/null'

/** Starts a program in its own process group. The group ends with the bench, also when the bench is killed. */
export function launch(command: string, args: string[], options: SpawnOptions): ChildProcess {
  watch()
  const child = spawn(command, args, { ...options, detached: true })
  running.add(child)
  reaper?.stdin?.write(`${child.pid}\n`)
  child.once('error', () => running.delete(child))
  return child
}

/** Makes a folder for this run only; it is removed when the bench ends. */
export function scratchFolder(): string {
  watch()
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'))
  folders.add(folder)
  return folder
}

/** Sends SIGTERM, waits for `graceMs`, then kills what is left of the child, its group and its descendants. */
export async function stop(child: ChildProcess, graceMs = 10_000): Promise<void> {
  if (!running.has(child)) return
  const tree = treeOf(child)
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await Promise.race([exited, sleep(graceMs, undefined, { ref: false })])
  }
  killGroup(child, tree)
  running.delete(child)
}

function watch(): void {
  if (reaper) return
  reaper = spawn('sh', ['-c', reaping], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  reaper.unref()
  process.on('exit', () => {
    for (const child of running) killGroup(child, treeOf(child))
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  })
  for (const [signal, number] of [['SIGINT', 2] as const, ['SIGTERM', 15] as const, ['SIGHUP', 1] as const]) {
    process.on(signal, () => process.exit(128 + number))
  }
}

function treeOf(child: ChildProcess): number[] {
  return child.pid === undefined ? [] : descendants(child.pid)
}

function killGroup(child: ChildProcess, tree: number[]): void {
  if (child.pid === undefined) return
  for (const target of [-child.pid, ...tree]) {
    try {
      process.kill(target, 'SIGKILL')
    } catch {
      // The process is already gone.
    }
  }
}

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
 * User and system time of every live thread, from /proc/<pid>/task/<tid>/schedstat: nanoseconds, where
 * /proc/<pid>/stat only knows hundredths of a second. NaN where the kernel does not provide it.
 */
export function cpuTimes(pids: readonly number[]): CpuTimes {
  return new Map(pids.map((pid) => [pid, cpuOf(pid)]))
}

/** CPU microseconds used between two readings; NaN when a process ended meanwhile. `gone` counts those processes. */
export function cpuBetween(before: CpuTimes, after: CpuTimes): { micros: number; gone: number } {
  const gone = [...before.keys()].filter((pid) => !after.has(pid)).length
  let nanos = gone > 0 ? Number.NaN : 0
  for (const [pid, time] of after) nanos += time - (before.get(pid) ?? 0)
  return { micros: nanos / 1000, gone }
}

/**
 * Proportional set size in MiB, summed from /proc/<pid>/smaps_rollup: a page that several processes map counts
 * once, in equal shares. So the shares of node's own code fall when more node processes run: read all the
 * servers that are compared while all of them live. NaN where the kernel does not provide it.
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
  // The process name stands in brackets and may contain brackets: the fields follow the last one.
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
