import type { Entry } from '../admin/journal.ts'
import type { AdminEvent } from '../ipc/messages.ts'
import { watch } from './admin-client.ts'
import { printable } from './format.ts'

/** What of a roll is worth a line. */
const STEPS = new Set(['starts', 'ready', 'drains', 'gone', 'killed', 'cannot boot', 'reload begins'])

/** Tells of a roll, slot by slot, while it goes on. @returns ends it */
export function tellProgress(socketPath: string, out: NodeJS.WriteStream): () => void {
  const ended = new AbortController()
  void tell(watch(socketPath, ended.signal), out).catch(() => {}) // Who gives the command hears the fault.
  return () => {
    ended.abort()
    if (out.isTTY) out.write('\r\x1b[K')
  }
}

async function tell(events: AsyncIterable<AdminEvent>, out: NodeJS.WriteStream): Promise<void> {
  const rolled = new Set<number>()
  let wanted = 0
  for await (const { event, data } of events) {
    if (event === 'status') wanted = (data as { desired: number }).desired
    else if (event === 'journal') {
      const { event: step, slot, pid, generation, why } = data as Entry
      if (!STEPS.has(step)) continue
      if (step === 'ready' && slot !== undefined) rolled.add(slot)
      const about = slot === undefined ? `generation ${generation}` : `slot ${slot}, pid ${pid}`
      const text = `[${rolled.size}/${wanted}] ${about}: ${step}${why && step !== 'starts' ? `, ${why}` : ''}`
      const line = printable(text)
      // On a terminal one line that changes; in a file, all of them.
      out.write(out.isTTY ? `\r\x1b[K${line.slice(0, out.columns - 1)}` : `${line}\n`)
    }
  }
}
