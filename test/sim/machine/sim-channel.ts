import { EventEmitter } from 'node:events'
import type { ChannelPeer } from '../../../src/ipc/channel.ts'
import type { Random } from '../../helpers/random.ts'
import type { SimHandle } from './sim-network.ts'
import type { SimProcess } from './sim-process.ts'
import type { VirtualTime, VirtualTimer } from './virtual-time.ts'

/** Faults of the channels of all processes. */
export interface ChannelFaults {
  /** A message takes up to this long, in ms. */
  delayMs: number
  /** This many of the next descriptors do not arrive: the process that receives them has no free descriptor. */
  descriptorsLost: number
}

interface Message {
  text: string
  handle: SimHandle | undefined
  done: (error: Error | null) => void
  arrival?: VirtualTimer
}

/** Messages that the kernel takes before the sender must keep them. */
const PIPE_MESSAGES = 24
const USUAL_DELAY_MS = 0.4

/** One end of a channel, with what was sent from it and has not arrived. */
class Peer extends EventEmitter implements ChannelPeer {
  connected = true
  /** In the sender: the pipe is full, or the last descriptor is not confirmed. Lost when the sender dies. */
  readonly queue: Message[] = []
  /** In the kernel. What a process wrote before its death arrives. */
  readonly pipe: Message[] = []
  /** Node sends nothing after a descriptor until the other process has confirmed that. */
  awaitsConfirmation = false
  lastArrival = 0
  readonly process: SimProcess
  readonly #channel: SimChannel

  constructor(process: SimProcess, channel: SimChannel) {
    super()
    this.process = process
    this.#channel = channel
  }

  send(message: unknown, handle: unknown, _options: object, done: (error: Error | null) => void): boolean {
    this.#channel.send(this, { text: JSON.stringify(message), handle: handle as SimHandle | undefined, done })
    return true
  }
}

/** The channel between the primary and a worker, as Node's child_process makes it on top of a socket pair. */
export class SimChannel {
  readonly primary: Peer
  readonly worker: Peer
  /** Called with every message that arrives. */
  onMessage: (from: SimProcess, to: SimProcess, text: string, hasHandle: boolean) => void = () => {}
  /** Called with every message of the primary, as it is sent. */
  onSend: (text: string) => void = () => {}
  /** Called when the other process is told that this one has ended. */
  onEnd: (ended: SimProcess) => void = () => {}
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #faults: ChannelFaults

  constructor(time: VirtualTime, random: Random, faults: ChannelFaults, primary: SimProcess, worker: SimProcess) {
    this.#time = time
    this.#random = random
    this.#faults = faults
    this.primary = new Peer(primary, this)
    this.worker = new Peer(worker, this)
    for (const peer of [this.primary, this.worker]) peer.process.onEnd(() => this.#end(peer))
  }

  /** Copies that are on their way. */
  get handlesUnderWay(): number {
    const messages = [this.primary, this.worker].flatMap(({ queue, pipe }) => [...queue, ...pipe])
    return messages.filter(({ handle }) => handle).length
  }

  send(from: Peer, message: Message): void {
    if (!this.#count(from.process)) return
    const to = this.#other(from)
    const { done } = message
    if (from === this.primary) this.onSend(message.text)
    if (!to.process.alive) {
      const error = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
      this.#time.plan(from.process, 0, () => done(error), 'immediates')
      return
    }
    if (from.awaitsConfirmation || from.pipe.length >= PIPE_MESSAGES) from.queue.push(message)
    else this.#write(from, to, message)
  }

  #write(from: Peer, to: Peer, { text, handle, done }: Message): void {
    if (handle?.isClosed) {
      this.#time.plan(from.process, 0, () => done(new Error('This handle type cannot be sent')), 'immediates')
      return
    }
    const copy = handle?.duplicate()
    if (handle) from.awaitsConfirmation = true
    const message: Message = { text, handle: copy, done }
    from.pipe.push(message)
    this.#time.plan(from.process, 0, () => done(null), 'immediates')
    const delay = USUAL_DELAY_MS * this.#random.next() + this.#faults.delayMs * this.#random.next()
    const arrival = Math.max(this.#time.now + delay, from.lastArrival + 0.001)
    from.lastArrival = arrival
    message.arrival = this.#time.plan(to.process, arrival - this.#time.now, () => this.#arrive(from, to, message))
  }

  #arrive(from: Peer, to: Peer, message: Message): void {
    if (from.pipe.shift() !== message) throw new Error('messages of a channel arrive in another order')
    if (!this.#count(to.process)) {
      message.handle?.drop()
      return
    }
    const { text, handle } = message
    this.onMessage(from.process, to.process, text, handle !== undefined)
    if (handle) {
      from.awaitsConfirmation = false
      // A connection whose descriptor is lost on its way to the primary is cut at the end of the drain: that is documented.
      if (this.#faults.descriptorsLost > 0 && to === this.worker) {
        this.#faults.descriptorsLost--
        handle.drop()
        this.#flush(from, to)
        return
      }
      handle.receive(to.process)
    }
    this.#flush(from, to)
    to.emit('message', JSON.parse(text), handle)
  }

  #flush(from: Peer, to: Peer): void {
    while (
      from.process.alive &&
      from.queue.length > 0 &&
      !from.awaitsConfirmation &&
      from.pipe.length < PIPE_MESSAGES
    ) {
      this.#write(from, to, from.queue.shift()!)
    }
  }

  /** @returns false when the process ends at this message */
  #count(process: SimProcess): boolean {
    process.messagesLeft--
    if (process.messagesLeft > 0) return process.alive
    process.exit({ code: null, signal: 'SIGKILL' })
    return false
  }

  /**
   * What the process has written can be read at once. The other process learns of the death in the same turn of its event loop, perhaps
   * before it reads.
   */
  #end(peer: Peer): void {
    const other = this.#other(peer)
    peer.connected = false
    for (const { handle } of other.pipe.splice(0)) handle?.drop()
    for (const { done } of other.queue.splice(0)) {
      this.#time.plan(other.process, 0, () => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })))
    }
    peer.queue.length = 0
    const delay = USUAL_DELAY_MS * this.#random.next()
    const tell = () => this.#time.plan(other.process, delay, () => this.onEnd(peer.process))
    const isToldFirst = this.#random.chance(0.5)
    if (isToldFirst) tell()
    for (const message of peer.pipe) {
      message.arrival!.cancel()
      message.arrival = this.#time.plan(other.process, delay, () => this.#arrive(peer, other, message))
    }
    this.#time.plan(other.process, delay, () => {
      other.connected = false
      other.emit('disconnect')
    })
    if (!isToldFirst) tell()
  }

  #other(peer: Peer): Peer {
    return peer === this.primary ? this.worker : this.primary
  }
}
