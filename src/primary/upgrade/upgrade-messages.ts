import type { ServiceStatus } from '../../admin/command-context.ts'
import type { JournalEntry } from '../../admin/journal-file.ts'
import type { WorkerRange } from '../../common/worker-range.ts'
import type { Channel } from '../../ipc/channel.ts'
import type { Collection } from '../../ipc/messages.ts'
import type { ConnectionOffer } from '../listener/routed-connection.ts'
import type { ExitedWorker } from '../quarantine/quarantine-keeper.ts'
import type { QuarantineSnapshot } from '../quarantine/quarantine-snapshot.ts'

/** What the successor learns about the primary that it replaces. The sockets follow. */
export interface Inheritance {
  /** The last generation that was used. */
  generation: number
  /** Workers wanted now. */
  desired: number
  /** WORKERS of the old primary, as a number. */
  workers: number
  /** The range of workers that the configuration of the old primary names, and the one in force. */
  configuredRange?: WorkerRange | undefined
  range?: WorkerRange | undefined
  runDir: string
  scheduling: string
  /** Undefined: the old primary is of a version that did not tell. */
  usesTls?: boolean
  host: string
  port: number
  adminPort?: { host: string; port: number } | undefined
  /** The numbers of the open ports. */
  numbers: { port?: number | undefined; adminPort?: number | undefined }
  /** The socket of the port came from systemd. */
  isPassed: boolean
  quarantines?: QuarantineSnapshot | undefined
  /** The keys of TLS session tickets, in base64. */
  ticketKeys?: string | undefined
  /** Where the embedded Redis listens; undefined when there is none. */
  redisSocket?: string | undefined
  /** What `muster upgrade --env-file` has changed, now and before. */
  overrides: Readonly<Record<string, string>>
  /** The process that started the first primary waits for it, so replaced primaries stay. */
  stays: boolean
}

/** The pipes of what the embedded Redis writes. */
export const REDIS_PIPES = ['redisOutput', 'redisErrors'] as const

/** The sockets that one primary gives to the other. */
export type SocketName = 'port' | 'adminPort' | 'admin' | (typeof REDIS_PIPES)[number]

/** Messages in both directions. */
type ToOther =
  /** A connection for a worker of the slot; its handle comes with the message. */
  | ({ type: 'connection'; slot: number } & ConnectionOffer)
  /** The connection will be offered to workers of the sender. */
  | { type: 'taken'; id: number; slot: number }
  /** A worker of the sender serves the connection; with `lost`, none could. */
  | { type: 'served'; id: number; slot: number; lost: boolean }
  /** The sender has written to the journal. */
  | { type: 'journal'; entry: JournalEntry }
  /** The workers of the sender. */
  | { type: 'workers'; workers: ServiceStatus['workers'] }
  /** What the sender, which is in charge, has decided about quarantines. */
  | { type: 'quarantines'; snapshot: QuarantineSnapshot }
  /** A worker of the sender, which is not in charge, has exited. */
  | { type: 'worker-exited'; worker: ExitedWorker; inRollout: boolean }
  /** The sender ends: its counters. */
  | { type: 'last-counters'; collection: Collection }

export type ToSuccessor =
  | ToOther
  /** A listening socket; its handle comes with the message. */
  | { type: 'socket'; name: SocketName }
  | { type: 'begin'; protocol: number; version: string; inheritance: Inheritance; sockets: SocketName[] }
  /** Start the worker of the next slot. */
  | { type: 'open' }
  | { type: 'commit' }
  /** Drain the worker of the last slot that was opened. */
  | { type: 'return' }
  /** Exit: the upgrade has failed, or the service stops. */
  | { type: 'end'; stop: boolean }
  /** A client that watches events on the admin socket; its handle comes with the message. */
  | { type: 'stream' }

/** What the successor has taken over. */
export interface Adopted {
  port: boolean
  adminPort: boolean
  /** The embedded Redis. */
  redis: boolean
}

export type ToOld =
  | ToOther
  /** `isIsolated`: only one of the two uses TLS, so that no connection can move between them. */
  | { type: 'prepared'; version: string; node: string; workers: number; isIsolated?: boolean }
  | { type: 'refused'; why: string }
  /** The worker of the slot that was opened last is ready. */
  | { type: 'ready'; isLast: boolean }
  | { type: 'failed'; why: string }
  | { type: 'released' }
  /** The successor is in charge, and has taken these over. */
  | { type: 'committed'; adopted: Adopted }
  /** The successor, which is in charge, is about to be replaced itself. */
  | { type: 'superseded' }
  /** An operator asked the successor, or one of its workers, to stop the service. */
  | { type: 'stop' }

export type Requests = {
  ping: { args: Record<string, never>; result: null }
  /** The counters of the other primary and of its workers. */
  collect: { args: Record<string, never>; result: Collection }
}

export type ChannelToSuccessor = Channel<ToSuccessor, ToOld, Requests, Requests>
export type ChannelToOld = Channel<ToOld, ToSuccessor, Requests, Requests>
/** The part that is the same on both ends. */
export type PrimaryChannel = Pick<
  Channel<ToOther, ToOther, Requests, Requests>,
  'notify' | 'request' | 'on' | 'respond'
>

/** The types of both ends differ in more messages than these, which TypeScript does not find compatible. */
export const commonPart = (channel: ChannelToSuccessor | ChannelToOld) => channel as unknown as PrimaryChannel
