import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { Logger } from '../../../src/common/log.ts'
import { createChannel } from '../../../src/ipc/channel.ts'
import { isMessageToPrimary } from '../../../src/ipc/messages.ts'
import type { ForkEvents, WorkerChannel } from '../../../src/primary/workers/fork.ts'
import type { ProcessHost } from '../../../src/primary/workers/process-host.ts'
import { StderrTail } from '../../../src/primary/workers/stderr-tail.ts'
import type { Random } from '../../helpers/random.ts'
import type { Behaviour } from '../service/sim-app.ts'
import { type SimWorker, startSimWorker } from '../service/sim-worker.ts'
import { type ChannelFaults, SimChannel } from './sim-channel.ts'
import { SimProcess } from './sim-process.ts'
import type { TimeOwner, VirtualTime } from './virtual-time.ts'

/** A worker process of the simulation, as its machine knows it. */
export interface HostedWorker {
  id: number
  slot: number
  generation: number
  process: SimProcess
  channel: SimChannel
  /** Set when its code has been loaded. */
  worker: SimWorker | undefined
  /** What the primary is told when the worker writes garbage. */
  events: ForkEvents
}

export interface HostFaults extends ChannelFaults {
  /** How forks fail; undefined: they do not. */
  forksFail: 'throws' | 'error' | undefined
  /** The boot of a worker takes this much longer, in ms. */
  slowBootMs: number
}

export interface SimHostOptions {
  time: VirtualTime
  random: Random
  primary: SimProcess
  /** The machine itself. */
  world: TimeOwner
  faults: HostFaults
  log: (name: string) => Logger
  onRequest: (id: string) => void
  onFork: (worker: HostedWorker) => void
  onMessage: (text: string) => void
  onUncaught: (what: string) => void
}

const HANG_REPORT_MS = 1500

/** The machine on which the primary forks workers. */
export class SimHost implements ProcessHost {
  /** Every process that was forked and has not ended. */
  readonly workers = new Map<number, HostedWorker>()
  readonly #options: SimHostOptions
  #lastId = 0

  constructor(options: SimHostOptions) {
    this.#options = options
  }

  readonly fork: ProcessHost['fork'] = (exec, environment, events) => {
    const { time, random, primary, faults, world, onFork, onMessage, onUncaught } = this.#options
    const emitter = new EventEmitter()
    const id = ++this.#lastId
    if (faults.forksFail === 'throws') throw new Error('spawn EAGAIN')
    const slot = Number(environment.SLOT)
    const generation = Number(environment.GENERATION)
    const process = new SimProcess(time, `worker ${slot}#${id}`, 1000 + id, random.between(0, 1e6))
    process.onUncaught = onUncaught
    const channel = new SimChannel(time, random, faults, primary, process)
    const stderr = new Readable({ read() {} })
    const hosted: HostedWorker = { id, slot, generation, process, channel, worker: undefined, events }
    channel.onMessage = (from, to, text) => onMessage(`${from.name} > ${to.name}: ${text}`)
    channel.onSend = (text) => {
      if (text.startsWith('{"type":"drain"')) process.leaves = true
    }
    channel.onEnd = (ended) => {
      if (ended !== process) return
      if (process.stderr) stderr.push(process.stderr)
      stderr.push(null)
      emitter.emit('exit', process.end!.code, process.end!.signal)
    }
    const kill = (signal?: NodeJS.Signals | number) => {
      if (signal !== 'SIGKILL') return process.alive
      process.leaves = true
      time.plan(world, random.next() * 5, () => process.exit({ code: null, signal: 'SIGKILL' }))
      return true
    }
    const isForked = faults.forksFail === undefined
    if (isForked) {
      this.workers.set(id, hosted)
      process.onEnd(() => {
        this.workers.delete(id)
        // Ends the interval of Node's own that watches timeouts.
        time.plan(world, 0, () => hosted.worker?.connections.server.close())
      })
      onFork(hosted)
      time.plan(process, random.between(50, 800) + faults.slowBootMs, () => this.#boot(hosted, exec))
    } else {
      process.alive = false
      time.plan(primary, 0, () => emitter.emit('error', new Error('spawn EAGAIN')))
    }
    const worker = Object.assign(emitter, { id, process: { pid: isForked ? process.pid : undefined, kill } })
    return {
      worker: worker as unknown as ReturnType<ProcessHost['fork']>['worker'],
      channel: createChannel(channel.primary, isMessageToPrimary) as WorkerChannel,
      stderr: new StderrTail(stderr, { write: () => {} })
    }
  }

  readonly readStat: ProcessHost['readStat'] = (pid) => this.workers.get(pid - 1000)?.process.stat(performance.now())

  readonly reportHang: ProcessHost['reportHang'] = ({ process: { pid = 0 } }) =>
    new Promise((resolve) => {
      const note = 'its inspector did not start'
      setTimeout(() => resolve({ pid, stack: [], inFlight: [], note }), this.#options.random.next() * HANG_REPORT_MS)
    })

  #boot(hosted: HostedWorker, exec: string): void {
    const { log, onRequest } = this.#options
    const behaviour = JSON.parse(readFileSync(exec, 'utf8')) as Behaviour
    const { process, channel } = hosted
    hosted.worker = startSimWorker({ process, peer: channel.worker, behaviour, log: log(process.name), onRequest })
  }
}
