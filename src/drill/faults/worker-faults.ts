import { readFileSync } from 'node:fs'
import type { WorkerEnd } from '../observations.ts'
import { readyWorkers } from '../service-watch.ts'
import type { Fault, FaultContext } from './fault.ts'
import { hold, killProcess, stopProcess } from './held-process.ts'

const STOP_MS = 2000
/** A worker without more memory is watched for this time. */
const PRESSURE_MS = 6000
/** Beside the timeouts of the configuration: the examination, the hang report, the fork. */
const MARGIN_MS = 5000

type Victim = { slot: number; pid: number }

const victims = new WeakMap<FaultContext, number>()

/** Takes the workers in turn, so that no slot fails twice in a row. */
function chooseVictim(context: FaultContext): Victim {
  const workers = [...readyWorkers(context.watch.status)].sort((a, b) => b.slot - a.slot)
  const turn = victims.get(context) ?? 0
  victims.set(context, turn + 1)
  return workers[turn % workers.length]!
}

/** Waits until a worker has ended and another one serves in its slot. @param begin in ms of `Date.now()` */
async function watchEnd(
  { watch }: FaultContext,
  { slot, pid }: Victim,
  begin: number,
  limitMs: number
): Promise<WorkerEnd> {
  const successor = () =>
    watch.journal.find((entry) => entry.event === 'ready' && entry.slot === slot && Date.parse(entry.at) >= begin)
  const exit = () => watch.journal.find((entry) => entry.event === 'exited' && entry.pid === pid)
  // A hung worker may exit after its successor is ready: it is killed, and forked for, at the same time.
  await watch.until(() => successor() && exit(), limitMs)
  const [found, end] = [successor(), exit()]
  return {
    slot,
    limitMs,
    mustEnd: true,
    ...(end && { why: end.why ?? '' }),
    ...(found && end && { replacedMs: Date.parse(found.at) - begin })
  }
}

const kill: Fault = {
  name: 'kill',
  needsMs: () => MARGIN_MS,
  async run(context) {
    const victim = chooseVictim(context)
    const begin = Date.now()
    killProcess(victim.pid)
    return { worker: await watchEnd(context, victim, begin, context.settings.bootMs + MARGIN_MS) }
  }
}

const stop: Fault = {
  name: 'stop',
  needsMs: () => 2 * STOP_MS,
  cannot({ watch, settings }) {
    if (readyWorkers(watch.status).length < 2) return 'there is one worker only, and no other can answer meanwhile'
    const isHang = settings.heartbeatMs > 0 && settings.heartbeatMs <= STOP_MS + 1000
    return isHang
      ? `HEARTBEAT_TIMEOUT is ${settings.heartbeatMs} ms: a worker that is stopped for 2 s hangs`
      : undefined
  },
  async run(context) {
    const resume = context.undo.add(await stopProcess(chooseVictim(context).pid))
    await context.watch.pause(STOP_MS)
    await resume()
    return {}
  }
}

const hang: Fault = {
  name: 'hang',
  needsMs: ({ settings }) => settings.heartbeatMs + MARGIN_MS,
  cannot: ({ settings }) => (settings.heartbeatMs === 0 ? 'HEARTBEAT_TIMEOUT is off' : undefined),
  async run(context) {
    const { heartbeatMs, bootMs } = context.settings
    const victim = chooseVictim(context)
    const begin = Date.now()
    const resume = context.undo.add(await stopProcess(victim.pid))
    const worker = await watchEnd(context, victim, begin, heartbeatMs + bootMs + MARGIN_MS)
    await resume()
    return { worker }
  }
}

/** The address space that a worker has now is all that it may have: what it allocates from then on fails. */
const memory: Fault = {
  name: 'memory',
  needsMs: () => PRESSURE_MS + MARGIN_MS,
  cannot: () => (process.platform === 'linux' ? undefined : 'it needs Linux'),
  async run(context) {
    const { watch, undo, settings } = context
    const victim = chooseVictim(context)
    const begin = Date.now()
    let release: () => Promise<void>
    try {
      const { used, limit } = addressSpaceOf(victim.pid)
      const set = (value: string) => `prlimit --pid "$1" --as=${value}:`
      release = undo.add(await hold(victim.pid, set(used), `${set(limit)} 2>/dev/null`))
    } catch (error) {
      return { skipped: `its memory cannot be limited: ${(error as Error).message}` }
    }
    const hasEnded = () => watch.journal.some(({ event, pid }) => event === 'exited' && pid === victim.pid)
    const ended = await watch.until(hasEnded, PRESSURE_MS)
    await release()
    const limitMs = settings.bootMs + MARGIN_MS
    if (ended) return { worker: { ...(await watchEnd(context, victim, begin, limitMs)), mustEnd: false } }
    return { worker: { slot: victim.slot, limitMs, mustEnd: false } }
  }
}

/** The address space of a process in bytes, and its soft limit as prlimit takes it. @throws Error without /proc */
function addressSpaceOf(pid: number): { used: string; limit: string } {
  const [, kib = ''] = /^VmSize:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  const [, limit = 'unlimited'] = /^Max address space\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8')) ?? []
  return { used: String(Number(kib) * 1024), limit }
}

export const WORKER_FAULTS = [kill, stop, hang, memory]
