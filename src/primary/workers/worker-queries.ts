import { ackOf } from '../../admin/command.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { Ack, DeliveryReport } from '../../ipc/messages.ts'
import {
  isAnsweringAdminRequest,
  isWaitedFor,
  liveIn,
  type State,
  serves,
  slotsOf,
  type Worker
} from '../policy/types.ts'
import { firstToAnswer, PING_MS, type WorkerPeer } from './broadcast-to-workers.ts'
import type { Supervisor } from './supervisor.ts'

/** Questions of admin commands about workers: which one serves a slot, which ones answer, and when a state is reached. */
export class WorkerQueries {
  readonly #supervisor: Supervisor
  #pinging: Promise<DeliveryReport> | undefined
  #searching: Promise<WorkerPeer | undefined> | undefined

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor
  }

  /** Pings every ready worker. Concurrent calls share one round. */
  ping(): Promise<DeliveryReport> {
    return (this.#pinging ??= this.#pingReady().finally(() => {
      this.#pinging = undefined
    }))
  }

  /** Finds a ready worker that answers. @throws CommandError 503 when none is ready, or none answers in time */
  async any(): Promise<WorkerPeer> {
    const peers = this.#supervisor.pool.peers()
    if (!peers.some(({ status }) => status === 'ready')) throw new CommandError('no worker is ready to do it', 503)
    const worker = await (this.#searching ??= firstToAnswer(peers).finally(() => {
      this.#searching = undefined
    }))
    if (!worker) throw new CommandError(`no worker answered within ${PING_MS} ms`, 503)
    return worker
  }

  async #pingReady(): Promise<DeliveryReport> {
    const answers = this.#supervisor.pool
      .peers()
      .filter(({ status }) => status === 'ready')
      .map(async (peer) =>
        peer.channel.request('ping', {}, PING_MS).then(
          () => ackOf(peer),
          (error: Error) => ({ ...ackOf(peer), why: error.message })
        )
      )
    const results = await Promise.all(answers)
    return {
      acks: results.filter((result) => !('why' in result)),
      missing: results.filter((result) => 'why' in result)
    }
  }

  /** Lists the worker that serves each wanted slot, and the slots without one. */
  serving(): DeliveryReport {
    const { state } = this.#supervisor
    const slots = slotsOf(state).map((slot) => ({ slot, worker: liveIn(state, slot).find(serves) }))
    return {
      acks: slots.flatMap(({ worker }) => (worker ? [ackOf(worker)] : [])),
      missing: slots
        .filter(({ worker }) => !worker)
        .map(({ slot }) => {
          const { reason } = state.slots[slot] ?? {}
          const why = `no worker serves it${reason ? `: ${reason}` : ''}`
          return { ...ackOf({ slot, pid: liveIn(state, slot)[0]?.pid ?? 0 }), why }
        })
    }
  }

  /** Finds the worker that serves a slot. @throws CommandError 404 when none does */
  inSlot(slot: number): WorkerPeer & { id: number } {
    const { state } = this.#supervisor
    const worker = liveIn(state, slot).find(serves)
    const peer = worker && this.#supervisor.pool.peers().find(({ pid }) => pid === worker.pid)
    if (!peer || state.phase !== 'running') {
      const known = this.serving().acks.map((ack) => ack.slot)
      const remedy =
        known.length > 0 ? `slots with a worker are ${known.join(', ')}` : '`muster why` shows what happened'
      throw new CommandError(`slot: no worker serves ${slot}; ${remedy}`, 404)
    }
    return { ...peer, id: worker.id }
  }

  /**
   * Replaces a worker. Resolves when the new one serves and the old one has exited or lingers.
   * @param snapshot path of a heap snapshot that the old one writes before it exits, which is then waited for
   * @returns the new worker
   */
  async replace({ id, slot }: { id: number; slot: number }, snapshot?: string): Promise<Ack> {
    this.#supervisor.handle({ type: 'recycle', id, ...(snapshot && { snapshot }) })
    await this.until(({ workers, phase }) => {
      const old = workers.find((worker) => worker.id === id)
      // The snapshot is written when the last client has left.
      const blocks = snapshot === undefined ? isWaitedFor : (worker: Worker) => !isAnsweringAdminRequest(worker)
      return phase !== 'running' || !old || !blocks(old)
    })
    const next = liveIn(this.#supervisor.state, slot).find(serves)
    if (!next) throw new CommandError(`slot ${slot}: its worker has left, and none serves in its place`, 500)
    return ackOf(next)
  }

  /** Resolves when the state satisfies `condition`, or after `timeoutMs`. Rejects with what `condition` throws. */
  until(condition: (state: State) => boolean, timeoutMs?: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer)
        this.#supervisor.off('reconciled', check)
        end()
      }
      const check = () => {
        try {
          if (condition(this.#supervisor.state)) settle(resolve)
        } catch (error) {
          settle(() => reject(error))
        }
      }
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => settle(resolve), timeoutMs)
      this.#supervisor.on('reconciled', check)
      check()
    })
  }
}
