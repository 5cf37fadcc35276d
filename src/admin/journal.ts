import { lstatSync, renameSync } from 'node:fs'
import type { Logger } from '../common/log.ts'
import { appendNoFollow, readNoFollow } from '../primary/host/no-follow.ts'

/** Names in RUN_DIR: of what happened to the service and its workers, and of who gave which command. */
export const JOURNAL_FILE = 'journal.jsonl'
export const AUDIT_FILE = 'audit.jsonl'

const MAX_BYTES = 1024 * 1024

/** What happened, to which worker, and why. */
export interface Happening {
  event: string
  slot?: number
  pid?: number
  generation?: number
  why?: string
  [field: string]: unknown
}

export interface Entry extends Happening {
  /** ISO 8601, UTC. */
  at: string
}

/**
 * Entries as JSON lines, kept when the primary ends: why each worker was started, replaced or killed; or, in a file of its
 * own, so that commands do not displace the entries about workers, who gave which command. Bounded: a full file becomes
 * the older one, `journal.1.jsonl`, whose predecessor is dropped. Writes are synchronous, so that what led to a crash of
 * the primary is in it; a disk that is full costs the entry, never the service.
 */
export class Journal {
  readonly #path: string
  readonly #olderPath: string
  readonly #maxBytes: number
  readonly #log: Logger | undefined
  /** The last line may be without its end: after a crash, or after a write that failed half-way. */
  #maybeTorn = true
  #failed = false
  readonly #listeners = new Set<(entry: Entry) => void>()

  /** @param log not needed for reading */
  constructor(path: string, maxBytes = MAX_BYTES, log?: Logger) {
    this.#path = path
    this.#olderPath = path.replace(/(\.jsonl)?$/, '.1$1')
    this.#maxBytes = maxBytes
    this.#log = log
  }

  /** Never throws; the first failure is logged. */
  record(happening: Happening): void {
    const entry = { at: new Date().toISOString(), ...happening }
    for (const listener of this.#listeners) listener(entry)
    try {
      const line = `${JSON.stringify(entry)}\n`
      const size = lstatSync(this.#path, { throwIfNoEntry: false })?.size ?? 0
      const full = size > 0 && size + Buffer.byteLength(line) > this.#maxBytes
      if (full) renameSync(this.#path, this.#olderPath)
      const torn = this.#maybeTorn && !full && size > 0 && readNoFollow(this.#path).at(-1) !== 0x0a
      this.#maybeTorn = true
      appendNoFollow(this.#path, torn ? `\n${line}` : line)
      this.#maybeTorn = false
    } catch (error) {
      if (!this.#failed) this.#log?.error({ err: error }, 'the journal cannot be written')
      this.#failed = true
    }
  }

  /** Told of every entry from now on. @returns ends that */
  watch(listener: (entry: Entry) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The newest last; of the slot, when one is given, and at most `limit`. @throws when a file is there but not readable */
  read({ slot, limit }: { slot?: number; limit?: number } = {}): Entry[] {
    const entries = [this.#olderPath, this.#path]
      .flatMap((path) => readIfThere(path).split('\n'))
      .flatMap((line) => parse(line) ?? [])
      .filter((entry) => slot === undefined || entry.slot === slot)
    return limit === undefined ? entries : entries.slice(-limit)
  }
}

function readIfThere(path: string): string {
  try {
    return readNoFollow(path).toString()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** A torn line is none. */
function parse(line: string): Entry | undefined {
  try {
    const entry = JSON.parse(line) as Partial<Entry> | null
    return typeof entry?.at === 'string' && typeof entry.event === 'string' ? (entry as Entry) : undefined
  } catch {
    return undefined
  }
}
