import type { ServiceStatus } from '../../admin/command-context.ts'
import type { JournalEntry } from '../../admin/journal-file.ts'
import { printable } from '../../common/text/printable.ts'
import { formatDuration } from '../../common/text/units.ts'
import type { AdminEvent } from '../../ipc/messages.ts'
import type { TrialReport } from '../../verdict/trial-report.ts'
import { watchEvents } from '../admin-client.ts'
import { NO_SCREEN } from './table.ts'
import { formatTrial, trialLine } from './trial-table.ts'

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
  'reload begins',
  'trial begins',
  'trial ends',
  'reload waits',
  'reload has its turn',
  'reload lease lost',
  'reload without a lease',
  'upgrade begins',
  'upgraded'
])
/** A file gets a line of the trial at these intervals, a terminal each second. In seconds of the trial. */
const TRIAL_INTERVAL = 5

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
  const trials = new TrialLines(out)
  let desired = 0
  for await (const { event, data } of events) {
    if (event === 'status') {
      const { desired: wanted, trial } = data as ServiceStatus
      desired = wanted
      if (trial) trials.show(trial)
    }
    if (event !== 'journal' || !STEPS.has((data as JournalEntry).event)) continue
    const entry = data as JournalEntry
    if (entry.event === 'starts') startedAt.set(entry.pid, Date.parse(entry.at))
    if (entry.event === 'ready' && entry.slot !== undefined) replaced.add(entry.slot)
    const line = printable(`[${replaced.size}/${desired}] ${describeStep(entry, startedAt.get(entry.pid))}`)
    // A terminal shows one line that changes; a file gets every line.
    out.write(out.isTTY ? `\r\x1b[K${line.slice(0, out.columns - 1)}` : `${line}\n`)
  }
}

/** Shows how the comparison of a trial narrows. */
class TrialLines {
  readonly #out: NodeJS.WriteStream
  #shownAt = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  show(trial: TrialReport): void {
    if (trial.state !== 'running' && trial.state !== 'held') return
    const line = printable(trialLine(trial))
    if (this.#out.isTTY) this.#out.write(`\r\x1b[K${line.slice(0, this.#out.columns - 1)}`)
    else if (trial.seconds >= this.#shownAt + TRIAL_INTERVAL) {
      this.#shownAt = trial.seconds
      this.#out.write(`${line}\n${formatTrial(trial, NO_SCREEN)}`)
    }
  }
}

export function describeStep(
  { at, event, slot, pid, generation, why }: JournalEntry,
  startedAt: number | undefined
): string {
  if (event.startsWith('reload ') && generation === undefined) return `${event}${why ? `: ${why}` : ''}`
  const service = generation === undefined ? `primary ${pid}` : `generation ${generation}`
  const subject = slot === undefined ? service : `slot ${slot}, pid ${pid}`
  if (event === 'ready' && startedAt !== undefined) {
    return `${subject}: ready after ${formatDuration(Date.parse(at) - startedAt)}`
  }
  return `${subject}: ${event}${why && event !== 'starts' ? `, ${why}` : ''}`
}
