import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DiagnosticFile } from '../../admin/command-context.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { WorkerPeer } from '../workers/broadcast-to-workers.ts'

/** Number of files of each kind that are kept in RUN_DIR. */
const MAX_FILES = 10

/** Takes profiles, reports and heap snapshots of workers, one at a time because each slows its worker down. */
export class Profiler {
  readonly #runDir: string
  readonly #requestTimeoutMs: number
  #busy = false

  constructor({ runDir, requestTimeoutMs }: { runDir: string; requestTimeoutMs: number }) {
    this.#runDir = runDir
    this.#requestTimeoutMs = requestTimeoutMs
  }

  profile(worker: WorkerPeer, ms: number): Promise<DiagnosticFile> {
    return this.#write(worker, 'profile', 'cpuprofile', (path) =>
      worker.channel.request('profile', { path, ms }, ms + this.#requestTimeoutMs)
    )
  }

  report(worker: WorkerPeer): Promise<DiagnosticFile> {
    return this.#write(worker, 'report', 'json', (path) =>
      worker.channel.request('report', { path }, this.#requestTimeoutMs)
    )
  }

  /** @param replace replaces the worker, and resolves when the old one has written the snapshot to the given path */
  heap(worker: WorkerPeer, replace: (path: string) => Promise<unknown>): Promise<DiagnosticFile> {
    return this.#write(worker, 'heap', 'heapsnapshot', replace)
  }

  async #write(
    { slot, pid }: WorkerPeer,
    kind: string,
    extension: string,
    work: (path: string) => Promise<unknown>
  ): Promise<DiagnosticFile> {
    if (this.#busy) throw new CommandError('another profile, report or snapshot is being written', 409)
    this.#busy = true
    try {
      const time = new Date().toISOString().replace(/[-:.]/g, '')
      const path = join(this.#runDir, `${kind}-${slot}-${pid}-${time}.${extension}`)
      await work(path)
      const written = statSync(path, { throwIfNoEntry: false })
      if (!written) throw new CommandError(`slot ${slot}: its ${kind} could not be written; the log says why`, 500)
      keepNewest(this.#runDir, new RegExp(`^${kind}-.*\\.${extension}$`), MAX_FILES)
      return { slot, pid, path, bytes: written.size }
    } finally {
      this.#busy = false
    }
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
