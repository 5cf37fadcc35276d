import { createWriteStream } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapSnapshot } from 'node:v8'
import type { Channel } from '../ipc/channel.ts'
import type { Diagnostics, PrimaryRequests, ToPrimary, ToWorker, WorkerRequests } from '../ipc/messages.ts'

/** Larger files are not written. */
const LARGEST_FILE = 4 * 2 ** 30
/** For its owner alone, and only where nothing is. */
const FRESH = { mode: 0o600, flag: 'wx' } as const
const DELAY_MS = 1000

/** Answers what the primary asks about this process. */
export function answerForDiagnostics(channel: Channel<ToPrimary, ToWorker, PrimaryRequests, WorkerRequests>): void {
  channel.respond('profile', async ({ path, ms }) => write(path, JSON.stringify(await profile(ms))))
  channel.respond('report', ({ path }) => write(path, JSON.stringify(report(), null, 2)))
  channel.respond('diagnose', diagnose)
}

/** A CPU profile in Chrome DevTools' format, of the next `ms`. */
async function profile(ms: number): Promise<object> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
    await sleep(ms)
    return (await session.post('Profiler.stop')).profile
  } finally {
    session.disconnect()
  }
}

/** Node's own, without what may be secret. */
function report(): object {
  const { environmentVariables: _, ...shown } = process.report.getReport() as unknown as Record<string, unknown>
  return shown
}

/** Of the event loop it sees the next second; all else is as it is now. */
async function diagnose(): Promise<Diagnostics> {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const before = process.cpuUsage()
  await sleep(DELAY_MS)
  delay.disable()
  const cpu = process.cpuUsage(before)
  const ms = (nanoseconds: number) => Math.round(nanoseconds / 1e4) / 100
  const active: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) active[kind] = (active[kind] ?? 0) + 1
  return {
    loopDelayMs: {
      mean: ms(delay.mean),
      p50: ms(delay.percentile(50)),
      p99: ms(delay.percentile(99)),
      max: ms(delay.max)
    },
    memoryBytes: { ...process.memoryUsage() },
    cpuMs: { user: Math.round(cpu.user / 1000), system: Math.round(cpu.system / 1000) },
    active
  }
}

/** Stops this process for as long as V8 needs: for one that serves nobody any more. What is not whole is not left behind. */
export async function writeHeapSnapshot(path: string): Promise<void> {
  let bytes = 0
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > LARGEST_FILE ? new Error(`larger than ${LARGEST_FILE} bytes`) : null, chunk)
    }
  })
  try {
    await pipeline(getHeapSnapshot(), bounded, createWriteStream(path, FRESH))
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

async function write(path: string, text: string): Promise<{ bytes: number }> {
  const bytes = Buffer.byteLength(text)
  if (bytes > LARGEST_FILE) throw new Error(`larger than ${LARGEST_FILE} bytes`)
  await writeFile(path, text, FRESH)
  return { bytes }
}
