import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DiagnosticFile } from '../../admin/command-context.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { ProfileOrigin } from '../../ipc/profile-origin.ts'
import type { WorkerPeer } from '../workers/broadcast-to-workers.ts'

/** Number of files of each kind that are kept in RUN_DIR. */
const MAX_FILES = 10

/** A worker to sample, and what its profile is to say of it. */
export interface ProfileTarget {
  peer: WorkerPeer
  origin: ProfileOrigin
}

/** Takes profiles, reports and heap snapshots of workers. One command at a time does, because each slows its workers down. */
export class Profiler {
  readonly #runDir: string
  readonly #requestTimeoutMs: number
  #busy = false

  constructor({ runDir, requestTimeoutMs }: { runDir: string; requestTimeoutMs: number }) {
    this.#runDir = runDir
    this.#requestTimeoutMs = requestTimeoutMs
  }

  /** Samples workers at the same time. @returns the result of each, in their order */
  profile(targets: readonly ProfileTarget[], ms: number): Promise<PromiseSettledResult<DiagnosticFile>[]> {
    const profileOne = ({ peer, origin }: ProfileTarget) =>
      this.#write(peer, 'profile', 'cpuprofile', (path) =>
        peer.channel.request('profile', { path, ms, origin }, ms + this.#requestTimeoutMs)
      )
    // All files of one call are kept, however many workers there are.
    const kept = Math.max(MAX_FILES, 2 * targets.length)
    return this.#alone(() => Promise.allSettled(targets.map(profileOne)), 'profile', 'cpuprofile', kept)
  }

  report(worker: WorkerPeer): Promise<DiagnosticFile> {
    const request = (path: string) => worker.channel.request('report', { path }, this.#requestTimeoutMs)
    return this.#alone(() => this.#write(worker, 'report', 'json', request), 'report', 'json')
  }

  /** @param replace replaces the worker, and resolves when the old one has written the snapshot to the given path */
  heap(worker: WorkerPeer, replace: (path: string) => Promise<unknown>): Promise<DiagnosticFile> {
    return this.#alone(() => this.#write(worker, 'heap', 'heapsnapshot', replace), 'heap', 'heapsnapshot')
  }

  /** Runs `work` unless another one runs, then deletes old files of its kind. @throws CommandError 409 */
  async #alone<T>(work: () => Promise<T>, kind: string, extension: string, kept = MAX_FILES): Promise<T> {
    if (this.#busy) throw new CommandError('another profile, report or snapshot is being written', 409)
    this.#busy = true
    try {
      const result = await work()
      keepNewest(this.#runDir, new RegExp(`^${kind}-.*\\.${extension}$`), kept)
      return result
    } finally {
      this.#busy = false
    }
  }

  async #write(
    { slot, pid }: WorkerPeer,
    kind: string,
    extension: string,
    work: (path: string) => Promise<unknown>
  ): Promise<DiagnosticFile> {
    const time = new Date().toISOString().replace(/[-:.]/g, '')
    const path = join(this.#runDir, `${kind}-${slot}-${pid}-${time}.${extension}`)
    await work(path)
    const written = statSync(path, { throwIfNoEntry: false })
    if (!written) throw new CommandError(`slot ${slot}: its ${kind} could not be written; the log says why`, 500)
    return { slot, pid, path, bytes: written.size }
  }
}

/** Deletes all but the newest files of a folder whose names match. @param count the number of files that are kept */
export function keepNewest(folder: string, names: RegExp, count: number): void {
  const files = readdirSync(folder)
    .filter((name) => names.test(name))
    .map((name) => ({ path: join(folder, name), time: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time)
  for (const { path } of files.slice(count)) rmSync(path, { force: true })
}
