import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InFlight } from '../../ipc/messages.ts'
import type { StderrTail } from '../workers/stderr-tail.ts'
import { inspect, type StackFrame } from './inspector.ts'
import { type ProcessStat, readProcessStat, readSleep } from './process-stat.ts'
import { keepNewest } from './profiler.ts'

/** What a worker did when it was found hung. */
export interface HangReport {
  pid: number
  /**
   * The JavaScript stack, innermost frame first, at most 64 frames; empty if `note` says why. The first frames may be of
   * `node:`, because Node emits an event when its inspector starts.
   */
  stack: StackFrame[]
  /** Unanswered requests, the newest first, at most 100. */
  inFlight: InFlight[]
  /** Why a part is missing. */
  note?: string
  /** The kernel's view of the process; undefined without /proc, or if the process has ended. */
  process?: ProcessStat & { wchan?: string; syscall?: string }
}

type Killable = Pick<ChildProcess, 'pid' | 'kill'>

const MAX_FRAMES = 64
const MAX_REQUESTS = 100
/** Number of report files that are kept. */
const MAX_FILES = 10
/** Accepts addresses of this host only: the application may write any text to standard error. */
const LISTENING = /^Debugger listening on (ws:\/\/127\.0\.0\.1:\d+\/[0-9a-f-]{36})$/m

/**
 * Reads the stack and the unanswered requests of a blocked process through Node's inspector. On SIGUSR1 the process starts an
 * inspector on its own thread and writes its address to standard error. This works while any JavaScript runs, and in
 * Atomics.wait. A thread that sleeps in another system call does not answer; the note then says where it sleeps.
 * The process must be killed afterwards: its inspector stays open. Never rejects.
 */
export async function readHangReport(child: Killable, stderr: StderrTail, timeoutMs = 1500): Promise<HangReport> {
  const pid = child.pid ?? 0
  const deadline = performance.now() + timeoutMs
  const stat = readProcessStat(pid)
  const report: HangReport = { pid, stack: [], inFlight: [], ...(stat && { process: { ...stat, ...readSleep(pid) } }) }
  if (!child.kill('SIGUSR1')) return { ...report, note: 'the process has ended' }
  const listening = await stderr.waitFor(LISTENING, timeoutMs)
  if (!listening?.[1]) return { ...report, note: whyNoStack(report, timeoutMs) }
  const { frames, inFlight, problem } = await inspect(listening[1], deadline - performance.now())
  return {
    ...report,
    stack: frames.slice(0, MAX_FRAMES),
    inFlight: inFlight.slice(0, MAX_REQUESTS),
    ...(problem !== undefined && { note: problem })
  }
}

/** Reads the report of a worker and writes it to a file. Never rejects: `error` is set if there is no `file`. */
export async function writeHangReport(
  worker: { process: Killable; stderr: StderrTail; slot: number },
  runDir: string
): Promise<HangReport & { file?: string; error?: unknown }> {
  const report = await readHangReport(worker.process, worker.stderr)
  try {
    return { ...report, file: saveHangReport(runDir, worker.slot, report) }
  } catch (error) {
    return { ...report, error }
  }
}

/** Writes the report (0600), and keeps the newest ten files. @returns the path of the file */
export function saveHangReport(runDir: string, slot: number, report: HangReport): string {
  const file = join(runDir, `hang-${slot}-${report.pid}.json`)
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`, { mode: 0o600 })
  keepNewest(runDir, /^hang-\d+-\d+\.json$/, MAX_FILES)
  return file
}

function whyNoStack({ process }: HangReport, timeoutMs: number): string {
  const where = Object.entries({ wchan: process?.wchan, syscall: process?.syscall })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
  if (process?.state === 'S' || process?.state === 'D') return `asleep in a system call: ${where || 'unknown which'}`
  if (process?.state === 'T') return 'stopped by a signal'
  return `its inspector did not start within ${timeoutMs} ms`
}
