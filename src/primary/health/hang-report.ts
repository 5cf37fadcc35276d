import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InFlight } from '../../ipc/messages.ts'
import type { StderrTail } from '../workers/stderr-tail.ts'
import { askInspector, type Frame } from './inspector.ts'
import { type ProcessStat, readProcessStat, readSleep } from './process-stat.ts'
import { keepNewest } from './profiler.ts'

/** What a worker was at when it was found wedged. */
export interface HangReport {
  pid: number
  /**
   * JavaScript's, the innermost first, 64 frames at most; empty with a note that says why. On top may be frames of
   * `node:`, since node emits an event of its own when its inspector starts.
   */
  stack: Frame[]
  /** Requests that it has not answered, the youngest first, 100 at most. */
  inFlight: InFlight[]
  note?: string
  /** As the kernel saw it; none where there is no /proc, or no such process any more. */
  process?: ProcessStat & { wchan?: string; syscall?: string }
}

const FRAMES = 64
const REQUESTS = 100
const KEPT = 10
/** Of this host only, since what a worker writes may be anybody's text. */
const LISTENING = /^Debugger listening on (ws:\/\/127\.0\.0\.1:\d+\/[0-9a-f-]{36})$/m

/**
 * The stack of a blocked event loop and its requests, read through node's inspector: on SIGUSR1 the process starts one
 * on a thread of its own and writes its address to standard error. It works in any JavaScript and in Atomics.wait; a thread
 * that sleeps in another system call does not answer, and the note says where it sleeps. Never rejects. To be used on a worker that is to be killed: afterwards its inspector
 * stays open, and one whose event loop turns may have been stopped for a moment.
 */
export async function readBlackBox(child: ChildProcess, stderr: StderrTail, deadlineMs = 1500): Promise<HangReport> {
  const pid = child.pid ?? 0
  const until = performance.now() + deadlineMs
  const kernel = readProcessStat(pid)
  const box: HangReport = { pid, stack: [], inFlight: [], ...(kernel && { process: { ...kernel, ...readSleep(pid) } }) }
  if (!child.kill('SIGUSR1')) return { ...box, note: 'the process has ended' }
  const listening = await stderr.waitFor(LISTENING, deadlineMs)
  if (!listening?.[1]) return { ...box, note: whyNoStack(box, deadlineMs) }
  const { frames, inFlight, fault } = await askInspector(listening[1], until - performance.now())
  return {
    ...box,
    stack: frames.slice(0, FRAMES),
    inFlight: inFlight.slice(0, REQUESTS),
    ...(fault !== undefined && { note: fault })
  }
}

/** Reads the box and writes it. Never rejects: `fault` is why there is no `file`. */
export async function writeHangReport(
  worker: { process: ChildProcess; stderr: StderrTail; slot: number },
  runDir: string
): Promise<HangReport & { file?: string; fault?: unknown }> {
  const box = await readBlackBox(worker.process, worker.stderr)
  try {
    return { ...box, file: writeBlackBox(runDir, worker.slot, box) }
  } catch (fault) {
    return { ...box, fault }
  }
}

/** Writes the box for its owner alone, and keeps the newest ten. @returns the file */
export function writeBlackBox(runDir: string, slot: number, box: HangReport): string {
  const file = join(runDir, `black-box-${slot}-${box.pid}.json`)
  writeFileSync(file, `${JSON.stringify(box, null, 2)}\n`, { mode: 0o600 })
  keepNewest(runDir, /^black-box-\d+-\d+\.json$/, KEPT)
  return file
}

function whyNoStack({ process }: HangReport, deadlineMs: number): string {
  const where = Object.entries({ wchan: process?.wchan, syscall: process?.syscall })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
  if (process?.state === 'S' || process?.state === 'D') return `asleep in a system call: ${where || 'unknown which'}`
  if (process?.state === 'T') return 'stopped by a signal'
  return `its inspector did not start within ${deadlineMs} ms`
}
