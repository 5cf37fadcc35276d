import { lstatSync, renameSync } from 'node:fs'
import type { Logger } from '../common/log.ts'
import { appendNoFollow, readNoFollow } from '../common/no-follow.ts'

/** The file in RUN_DIR that records what happened to the service and its workers. */
export const JOURNAL_FILE = 'journal.jsonl'
/** The file in RUN_DIR that records which commands were given. Apart, so that commands displace no entries about workers. */
export const AUDIT_FILE = 'audit.jsonl'

const MAX_BYTES = 1024 * 1024

/** What happened, to which worker, and why. */
export interface JournalEvent {
  event: string
  slot?: number
  pid?: number
  generation?: number
  why?: string
  [field: string]: unknown
}

export interface JournalEntry extends JournalEvent {
  /** ISO 8601, UTC. */
  at: string
}

/** @param source the source that `publish` was called with; undefined for an entry of this process */
type JournalListener = (entry: JournalEntry, source?: object) => void

/**
 * A file of entries as JSON lines, which outlives the primary. Its size is bounded: a full file is renamed to
 * `journal.1.jsonl`, which replaces the one before it. Writes are synchronous, so that the file has what led to a crash of
 * the primary. A full disk costs the entry, never the service.
 */
export class JournalFile {
  readonly #path: string
  readonly #olderPath: string
  readonly #maxBytes: number
  readonly #log: Logger | undefined
  readonly #listeners = new Set<JournalListener>()
  /** The last line may lack its end: after a crash, or after a write that failed half-way. */
  #maybeTorn = true
  #failed = false

  /** @param log needed for writing only */
  constructor(path: string, maxBytes = MAX_BYTES, log?: Logger) {
    this.#path = path
    this.#olderPath = path.replace(/(\.jsonl)?$/, '.1$1')
    this.#maxBytes = maxBytes
    this.#log = log
  }

  /** Appends an entry. Never throws; only the first failure is logged. */
  record(event: JournalEvent): void {
    const entry = { at: new Date().toISOString(), ...event }
    this.publish(entry)
    try {
      this.#append(`${JSON.stringify(entry)}\n`)
    } catch (error) {
      if (!this.#failed) this.#log?.error({ err: error }, 'the journal cannot be written')
      this.#failed = true
    }
  }

  /** Tells the listeners of an entry. @param source of an entry that another process has written to the file */
  publish(entry: JournalEntry, source?: object): void {
    for (const listener of this.#listeners) listener(entry, source)
  }

  /** Calls `listener` with every further entry. @returns a function that ends this */
  watch(listener: JournalListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * All entries, the newest last, or those of one slot, or since a moment, or the newest `limit`. Torn lines are skipped.
   * @throws Error when a file exists but cannot be read
   */
  read({ slot, since, limit }: { slot?: number; since?: Date; limit?: number } = {}): JournalEntry[] {
    // Entries have times of one form, so they can be compared as text.
    const oldest = since?.toISOString() ?? ''
    const entries = [this.#olderPath, this.#path]
      .flatMap((path) => readIfExists(path).split('\n'))
      .flatMap((line) => parseEntry(line) ?? [])
      .filter((entry) => (slot === undefined || entry.slot === slot) && entry.at >= oldest)
    return limit === undefined ? entries : entries.slice(-limit)
  }

  #append(line: string): void {
    const size = lstatSync(this.#path, { throwIfNoEntry: false })?.size ?? 0
    const isFull = size > 0 && size + Buffer.byteLength(line) > this.#maxBytes
    if (isFull) renameSync(this.#path, this.#olderPath)
    const isTorn = this.#maybeTorn && !isFull && size > 0 && readNoFollow(this.#path).at(-1) !== 0x0a
    this.#maybeTorn = true
    appendNoFollow(this.#path, isTorn ? `\n${line}` : line)
    this.#maybeTorn = false
  }
}

function readIfExists(path: string): string {
  try {
    return readNoFollow(path).toString()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** @returns undefined for a line that is torn or no entry */
function parseEntry(line: string): JournalEntry | undefined {
  try {
    const entry = JSON.parse(line) as Partial<JournalEntry> | null
    return typeof entry?.at === 'string' && typeof entry.event === 'string' ? (entry as JournalEntry) : undefined
  } catch {
    return undefined
  }
}
