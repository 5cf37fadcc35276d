import type { ChildProcess } from 'node:child_process'
import cluster, { type ClusterSettings } from 'node:cluster'
import { url as inspectorUrl } from 'node:inspector'
import { Readable } from 'node:stream'
import { type Channel, createChannel } from '../../ipc/channel.ts'
import {
  isMessageToPrimary,
  type PrimaryRequests,
  type ToPrimary,
  type ToWorker,
  type WorkerRequests
} from '../../ipc/messages.ts'
import { reportEndOf } from '../../node-internals/ipc-channel.ts'
import { guardChannel } from './channel-guard.ts'
import { LineSink, StderrTail } from './stderr-tail.ts'

export type WorkerChannel = Channel<ToWorker, ToPrimary, WorkerRequests, PrimaryRequests>

/**
 * Size of a semi-space of V8's young generation, in MiB; the young generation has three. V8's default is twice as much, for
 * more objects of pending requests than a server has. A hit costs 1 to 3 % more CPU with this size, and 4 % more with half of
 * it (docs/explanation/performance.md).
 */
const SEMI_SPACE_MIB = 8
const NAMES_SEMI_SPACE = /--(max|min)[-_]semi[-_]space[-_]size/

/**
 * Workers disable V8's allocation-site pretenuring. V8 counts which allocation sites create objects that survive a scavenge, and
 * then allocates these objects in the old generation. Requests that wait for Redis may survive a scavenge while the heap is
 * small; from then on each of them retains everything it refers to until the next full collection. This happened in some
 * workers and not in others, and cost them a fifth to a third of their throughput (docs/explanation/performance.md).
 */
const NO_PRETENURING = '--no-allocation-site-pretenuring'
const NAMES_PRETENURING = /--(no[-_]?)?allocation[-_]site[-_]pretenuring/

/**
 * The old generation of a worker may grow by half between two full collections. V8's default allows several times what survived if that
 * saves time, but the live objects of a worker are few and their collections are cheap. This saves a worker 10 to 20 MiB under load
 * (docs/explanation/performance.md). To set it while V8 runs changes nothing, and Node does not accept it in NODE_OPTIONS.
 */
const HEAP_GROWTH = '--heap-growing-percent=50'
const NAMES_HEAP_GROWTH = /--heap[-_]growing[-_]percent/

/**
 * Returns the settings of node:cluster for forking workers. Standard error is piped through the primary, which keeps its end
 * ({@link StderrTail}). On SIGUSR1, and not before, a worker opens an inspector on a free port of 127.0.0.1: node:cluster would
 * give workers ports counted up from 9229, which other processes may use. If it finds an `--inspect-port`, it appends the
 * `inspectPort` instead.
 * @param given the primary's own flags of Node
 * @param debugged the primary has an inspector: node:cluster gives every worker one on a counted port
 * @param nodeOptions value of NODE_OPTIONS
 */
export function workerSettings(given: readonly string[], debugged: boolean, nodeOptions = ''): ClusterSettings {
  const stdio: ClusterSettings['stdio'] = ['ignore', 'inherit', 'pipe', 'ipc']
  const execArgv = [...given]
  // A flag on the command line would override the one in NODE_OPTIONS.
  if (!NAMES_SEMI_SPACE.test([...given, nodeOptions].join(' ')))
    execArgv.push(`--max-semi-space-size=${SEMI_SPACE_MIB}`)
  if (!given.some((flag) => NAMES_PRETENURING.test(flag))) execArgv.push(NO_PRETENURING)
  if (!given.some((flag) => NAMES_HEAP_GROWTH.test(flag))) execArgv.push(HEAP_GROWTH)
  if (debugged) return { stdio, execArgv }
  return { stdio, execArgv: [...execArgv, '--inspect-port=127.0.0.1:0'], inspectPort: 0 }
}

/** Returns whether the primary has an inspector. Then a worker may stand at a breakpoint, silent but not hung. */
export const isDebugged = (): boolean => inspectorUrl() !== undefined

/**
 * Prepares forking. Must be called once, before the first fork.
 * @param flags flags of Node for workers, beside those of this process
 * @param nodeOptions value of NODE_OPTIONS, which workers inherit
 */
export function setupWorkers(flags: readonly string[], nodeOptions: string): void {
  cluster.setupPrimary(workerSettings([...process.execArgv, ...flags], isDebugged(), nodeOptions))
  // The reader of standard error may be gone. Then only what workers write to it is lost.
  process.stderr.on('error', () => {})
}

export interface ForkEvents {
  /** The worker wrote garbage to its channel, or flooded it. Its messages are ignored from now on. Called once. */
  onProtocolViolation(why: string): void
  /** The worker wrote a line to standard error. Not called on a terminal, which shows standard error unchanged. */
  onStderr(line: string): void
  /** A message was dropped because this version does not know it, or its fields are wrong. Called once. */
  onUnknownMessage(name: string): void
}

/** A worker process that was forked. The channel and standard error can be used at once. */
export interface ForkedWorker {
  worker: {
    readonly id: number
    readonly process: Pick<ChildProcess, 'pid' | 'kill'>
    /** No process could be created, and `exit` never follows; other errors come beside an exit. */
    on(event: 'error', listener: (error: Error) => void): unknown
    /** As Node's `exit` event: one of both is null. */
    once(event: 'exit', listener: (code: number | null, signal: string | null) => void): unknown
  }
  channel: WorkerChannel
  stderr: StderrTail
}

/**
 * Forks a worker whose channel cannot harm this process.
 * @param exec path of the module that it starts with
 * @param environment variables in addition to the primary's own
 * @throws Error when no process can be created. For some reasons the worker emits `error` instead, and never `exit`
 */
export function forkWorker(
  exec: string,
  environment: Record<string, string>,
  { onProtocolViolation, onStderr, onUnknownMessage }: ForkEvents
): ForkedWorker {
  cluster.setupPrimary({ exec })
  const worker = cluster.fork(environment)
  guardChannel(worker.process, {
    onGarbage: (error) => onProtocolViolation(`garbage on its channel: ${error.message.split('\n', 1)[0]}`),
    onFlood: onProtocolViolation
  })
  reportEndOf(worker.process)
  let unknown = 0
  const channel: WorkerChannel = createChannel(worker.process, (message) => {
    if (isMessageToPrimary(message)) return true
    if (++unknown === 1) onUnknownMessage(String(message.request ?? message.type))
    return false
  })
  const out = process.stderr.isTTY ? process.stderr : new LineSink(onStderr)
  return { worker, channel, stderr: new StderrTail(worker.process.stderr ?? Readable.from([]), out) }
}
