import { createWriteStream } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { getHeapSnapshot } from 'node:v8'
import type { Diagnostics } from '../ipc/messages.ts'
import { setInlining } from './function-inlining.ts'
import type { PrimaryChannel } from './primary-client.ts'

const MAX_FILE_BYTES = 4 * 2 ** 30
/** Readable for the owner only; an existing file is an error. */
const NEW_FILE = { mode: 0o600, flag: 'wx' } as const
/** Folder of the service's code, as the paths in profiles have it. */
const SERVICE = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')
/** How long V8 may take to finish what it was optimizing. */
const SETTLE_MS = 500
/** How long the delay of the event loop is measured. */
const MEASURE_MS = 1000

/** Answers the primary's requests about this process. */
export function answerDiagnosticRequests(channel: PrimaryChannel): void {
  channel.respond('profile', async ({ path, ms, origin }) =>
    write(path, JSON.stringify({ ...(await profile(ms)), ...(origin && { muster: { ...origin, service: SERVICE } }) }))
  )
  channel.respond('report', ({ path }) => write(path, JSON.stringify(createReport(), null, 2)))
  channel.respond('diagnose', diagnose)
}

/** Records a CPU profile for `ms`, in the format of Chrome DevTools. Every function counts for itself: see {@link setInlining}. */
async function profile(ms: number): Promise<object> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
    await setInlining(session, false)
    // Code that V8 was optimizing in another thread when the profile began is in use by now.
    const pauseMs = Math.min(SETTLE_MS, ms / 4)
    await sleep(pauseMs)
    await setInlining(session, false)
    await sleep(ms - pauseMs)
    return (await session.post('Profiler.stop')).profile
  } finally {
    await setInlining(session, true)
    session.disconnect()
  }
}

/** Returns Node's diagnostic report without the environment, which may contain secrets. */
function createReport(): object {
  const { environmentVariables: _, ...report } = process.report.getReport() as unknown as Record<string, unknown>
  return report
}

/** Measures the delay of the event loop for a second, and CPU time over it; memory and handles are read at the end. */
async function diagnose(): Promise<Diagnostics> {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const before = process.cpuUsage()
  await sleep(MEASURE_MS)
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

/**
 * Writes a heap snapshot. V8 stops this process meanwhile, so it must serve no client any more. An incomplete file is removed.
 * @throws Error when the file exists or would be larger than 4 GiB
 */
export async function writeHeapSnapshot(path: string): Promise<void> {
  let bytes = 0
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > MAX_FILE_BYTES ? new Error(`larger than ${MAX_FILE_BYTES} bytes`) : null, chunk)
    }
  })
  try {
    await pipeline(getHeapSnapshot(), bounded, createWriteStream(path, NEW_FILE))
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

async function write(path: string, text: string): Promise<{ bytes: number }> {
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`)
  await writeFile(path, text, NEW_FILE)
  return { bytes }
}
