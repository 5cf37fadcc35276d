import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DiagnosticFile } from '../../admin/command-context.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { WorkerPeer } from '../workers/broadcast-to-workers.ts'

/** Files of each kind that are kept in RUN_DIR, the newest. */
const KEPT = 10

/** Takes profiles and snapshots of workers, one at a time: each costs its worker something. */
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

  /** @param replace has another worker serve, and resolves when this one has written the snapshot */
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
      keepNewest(this.#runDir, new RegExp(`^${kind}-.*\\.${extension}$`), KEPT)
      return { slot, pid, path, bytes: written.size }
    } finally {
      this.#busy = false
    }
  }
}

/** Of the files of a folder with such names, only so many stay. */
export function keepNewest(folder: string, names: RegExp, kept: number): void {
  const files = readdirSync(folder)
    .filter((name) => names.test(name))
    .map((name) => ({ path: join(folder, name), time: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time)
  for (const { path } of files.slice(kept)) rmSync(path, { force: true })
}
