import { ackOf } from '../../admin/command.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { Ack, DeliveryReport } from '../../ipc/messages.ts'
import { isAnsweringAdminRequest, liveIn, type State, serves, slotsOf } from '../policy/types.ts'
import { firstToAnswer, PING_MS, type WorkerPeer } from './broadcast-to-workers.ts'
import type { Supervisor } from './supervisor.ts'

/** The workers as commands see them: who serves which slot, who answers, and when the state is as it was asked for. */
export class WorkerQueries {
  readonly #supervisor: Supervisor
  #rolling: Promise<DeliveryReport> | undefined
  #choosing: Promise<WorkerPeer | undefined> | undefined

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor
  }

  /** Who of the ready workers answers. Who asks at once shares one roll. */
  ping(): Promise<DeliveryReport> {
    return (this.#rolling ??= this.#roll().finally(() => {
      this.#rolling = undefined
    }))
  }

  /** The ready worker that answers first, for what any of them can do. @throws CommandError 503 when none does */
  async any(): Promise<WorkerPeer> {
    const worker = await (this.#choosing ??= firstToAnswer(this.#supervisor.pool.peers()).finally(() => {
      this.#choosing = undefined
    }))
    if (!worker) throw new CommandError('no worker is ready to do it', 503)
    return worker
  }

  async #roll(): Promise<DeliveryReport> {
    const answers = this.#supervisor.pool
      .peers()
      .filter(({ status }) => status === 'ready')
      .map(async (peer) =>
        peer.channel.request('ping', {}, PING_MS).then(
          () => ackOf(peer),
          (error: Error) => ({ ...ackOf(peer), why: error.message })
        )
      )
    const told = await Promise.all(answers)
    return { acks: told.filter((one) => !('why' in one)), missing: told.filter((one) => 'why' in one) }
  }

  /** The worker of each slot that is wanted, and the slots that have none. */
  serving(): DeliveryReport {
    const { state } = this.#supervisor
    const slots = slotsOf(state).map((slot) => ({ slot, worker: liveIn(state, slot).find(serves) }))
    return {
      acks: slots.flatMap(({ worker }) => (worker ? [ackOf(worker)] : [])),
      missing: slots
        .filter(({ worker }) => !worker)
        .map(({ slot }) => {
          const why = `no worker serves it${state.slots[slot] ? `: ${state.slots[slot].reason}` : ''}`
          return { ...ackOf({ slot, pid: liveIn(state, slot)[0]?.pid ?? 0 }), why }
        })
    }
  }

  /** The worker that serves a slot. @throws CommandError 404 where none does */
  inSlot(slot: number): WorkerPeer & { id: number } {
    const { state } = this.#supervisor
    const worker = liveIn(state, slot).find(serves)
    const peer = worker && this.#supervisor.pool.peers().find(({ pid }) => pid === worker.pid)
    if (!peer || state.phase !== 'running') throw new CommandError(`slot: no worker serves ${slot}`, 404)
    return { ...peer, id: worker.id }
  }

  /**
   * Has a new worker serve in place of this one, and resolves when the old one has left.
   * @param snapshot the file for a heap snapshot that it writes before @returns the new one
   */
  async replace({ id, slot }: { id: number; slot: number }, snapshot?: string): Promise<Ack> {
    this.#supervisor.handle({ type: 'recycle', id, ...(snapshot && { snapshot }) })
    await this.until(({ workers, phase }) => {
      return phase !== 'running' || !workers.some((worker) => worker.id === id && !isAnsweringAdminRequest(worker))
    })
    const next = liveIn(this.#supervisor.state, slot).find(serves)
    if (!next) throw new CommandError(`slot ${slot}: its worker has left, and none serves in its place`, 500)
    return ackOf(next)
  }

  /** Resolves when the state is so, or after `deadlineMs`. Rejects with what `isSo` throws. */
  until(isSo: (state: State) => boolean, deadlineMs?: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer)
        this.#supervisor.off('reconciled', look)
        end()
      }
      const look = () => {
        try {
          if (isSo(this.#supervisor.state)) settle(resolve)
        } catch (error) {
          settle(() => reject(error))
        }
      }
      const timer = deadlineMs === undefined ? undefined : setTimeout(() => settle(resolve), deadlineMs)
      this.#supervisor.on('reconciled', look)
      look()
    })
  }
}
