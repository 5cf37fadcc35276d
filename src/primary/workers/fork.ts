import cluster, { type ClusterSettings, type Worker as ClusterWorker } from 'node:cluster'
import { url as inspectorUrl } from 'node:inspector'
import { Readable } from 'node:stream'
import { type Channel, createChannel } from '../../ipc/channel.ts'
import {
  isToPrimary,
  type PrimaryRequests,
  type ToPrimary,
  type ToWorker,
  type WorkerRequests
} from '../../ipc/messages.ts'
import { guardChannel } from './channel-guard.ts'
import { LineSink, StderrTail } from './stderr-tail.ts'

export type WorkerChannel = Channel<ToWorker, ToPrimary, WorkerRequests, PrimaryRequests>

/**
 * How large V8's young generation may grow in a worker: three times so much, in MiB. Of its own it grows to twice that, for
 * what a server never has so much of: objects of requests under way. A hit costs 1 to 3 % more CPU with it, and 4 % more with
 * half of it, as docs/explanation/performance.md has it.
 */
const SEMI_SPACE_MIB = 8
const NAMES_SEMI_SPACE = /--(max|min)[-_]semi[-_]space[-_]size/

/**
 * V8 does not guess what lives long. By itself it counts which lines of code make objects that outlive a small collection,
 * and then has those made among the old ones. Requests that wait for Redis may outlive one while the heap is small, and
 * from then on each keeps all it refers to up to the next collection of the whole heap. That befell some workers and not
 * others, and took a fifth to a third of their hits, as docs/explanation/performance.md has it.
 */
const NO_PRETENURING = '--no-allocation-site-pretenuring'
const NAMES_PRETENURING = /--(no[-_]?)?allocation[-_]site[-_]pretenuring/

/**
 * How workers are forked. Their standard error comes through the primary, which keeps the end of it ({@link StderrTail}).
 * On SIGUSR1 each opens an inspector on a free port of 127.0.0.1, and none before: node:cluster would give workers ports
 * counted up from 9229, which others may have. To an `--inspect-port` that it finds it appends one of its own, the
 * `inspectPort`. Who runs the primary with `--inspect` gets node's own: every worker's inspector on a counted port.
 */
export function workerSettings(given: readonly string[], debugged: boolean, nodeOptions = ''): ClusterSettings {
  const stdio: ClusterSettings['stdio'] = ['ignore', 'inherit', 'pipe', 'ipc']
  const execArgv = [...given]
  // On the command line it would count for more than in NODE_OPTIONS.
  if (!NAMES_SEMI_SPACE.test([...given, nodeOptions].join(' ')))
    execArgv.push(`--max-semi-space-size=${SEMI_SPACE_MIB}`)
  if (!given.some((flag) => NAMES_PRETENURING.test(flag))) execArgv.push(NO_PRETENURING)
  if (debugged) return { stdio, execArgv }
  return { stdio, execArgv: [...execArgv, '--inspect-port=127.0.0.1:0'], inspectPort: 0 }
}

/** True when the primary runs with an inspector: a worker at a breakpoint is silent, and not wedged. */
export const isDebugged = (): boolean => inspectorUrl() !== undefined

/** To be called once, before the first fork. @param nodeOptions as in NODE_OPTIONS: workers get them by themselves */
export function setupWorkers(nodeOptions: string): void {
  cluster.setupPrimary(workerSettings(process.execArgv, isDebugged(), nodeOptions))
  // Nobody may be reading it any more; what workers write then is lost, and that is all.
  process.stderr.on('error', () => {})
}

export interface ForkEvents {
  /** Garbage or a flood on its channel, where nothing is heard of it any more: it is to be killed. Called once. */
  onProtocolViolation(why: string): void
  /** A line of its standard error; on a terminal that is shown as it comes instead. */
  onStderr(line: string): void
  /** A message that was dropped, since it is not understood; newer code may mean something. Called once. */
  onUnknownMessage(name: string): void
}

/**
 * Forks a worker whose channel cannot harm this process.
 * @param exec the module it starts with @param environment beside the primary's own
 * @throws Error when no process can be made; for other reasons for that, the worker emits `error` and never `exit`
 */
export function forkWorker(
  exec: string,
  environment: Record<string, string>,
  { onProtocolViolation, onStderr, onUnknownMessage }: ForkEvents
): { worker: ClusterWorker; channel: WorkerChannel; stderr: StderrTail } {
  cluster.setupPrimary({ exec })
  const worker = cluster.fork(environment)
  guardChannel(worker.process, {
    onGarbage: (error) => onProtocolViolation(`garbage on its channel: ${error.message.split('\n', 1)[0]}`),
    onFlood: onProtocolViolation
  })
  let unknown = 0
  const channel: WorkerChannel = createChannel(worker.process, (message) => {
    if (isToPrimary(message)) return true
    if (++unknown === 1) onUnknownMessage(String(message.request ?? message.type))
    return false
  })
  const out = process.stderr.isTTY ? process.stderr : new LineSink(onStderr)
  return { worker, channel, stderr: new StderrTail(worker.process.stderr ?? Readable.from([]), out) }
}
