import type { JournalEntry } from '../../admin/journal-file.ts'
import { printable } from '../../common/text/printable.ts'
import { formatDuration } from '../../common/text/units.ts'
import type { AdminEvent } from '../../ipc/messages.ts'
import { watchEvents } from '../admin-client.ts'

/** The journal events that are steps of a rollout. */
const STEPS = new Set([
  'starts',
  'ready',
  'drains',
  'lingers',
  'drained',
  'exited',
  'killed',
  'cannot boot',
  'reload begins'
])

/** Prints each step of a rollout while it goes on. @returns a function that ends this */
export function showProgress(socketPath: string, out: NodeJS.WriteStream): () => void {
  const ended = new AbortController()
  // The command that runs meanwhile reports the same error.
  void printSteps(watchEvents(socketPath, ended.signal), out).catch(() => {})
  return () => {
    ended.abort()
    if (out.isTTY) out.write('\r\x1b[K')
  }
}

async function printSteps(events: AsyncIterable<AdminEvent>, out: NodeJS.WriteStream): Promise<void> {
  const replaced = new Set<number>()
  const startedAt = new Map<number | undefined, number>()
  let desired = 0
  for await (const { event, data } of events) {
    if (event === 'status') desired = (data as { desired: number }).desired
    if (event !== 'journal' || !STEPS.has((data as JournalEntry).event)) continue
    const entry = data as JournalEntry
    if (entry.event === 'starts') startedAt.set(entry.pid, Date.parse(entry.at))
    if (entry.event === 'ready' && entry.slot !== undefined) replaced.add(entry.slot)
    const line = printable(`[${replaced.size}/${desired}] ${describeStep(entry, startedAt.get(entry.pid))}`)
    // A terminal shows one line that changes; a file gets every line.
    out.write(out.isTTY ? `\r\x1b[K${line.slice(0, out.columns - 1)}` : `${line}\n`)
  }
}

function describeStep({ at, event, slot, pid, generation, why }: JournalEntry, startedAt: number | undefined): string {
  const subject = slot === undefined ? `generation ${generation}` : `slot ${slot}, pid ${pid}`
  if (event === 'ready' && startedAt !== undefined) {
    return `${subject}: ready after ${formatDuration(Date.parse(at) - startedAt)}`
  }
  return `${subject}: ${event}${why && event !== 'starts' ? `, ${why}` : ''}`
}
