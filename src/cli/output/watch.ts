import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from '../admin-client.ts'

const INTERVAL_MS = 1000

/** Another screen, no cursor, and lines that end at the edge; and the way back. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'

export interface WatchOptions {
  out: NodeJS.WriteStream
  ask: () => Promise<Answer>
  /** The text of an answer that is ok. */
  show: (answer: Answer) => string
  /** Whether the text replaces the one before it on the terminal. */
  redraws: boolean
}

/**
 * Shows an answer again every second, until it is not ok. On a terminal it is redrawn in place, line by line, so that it does
 * not flicker; elsewhere each answer follows the one before it.
 * @returns the first answer that is not ok
 */
export async function watchAnswers({ out, ask, show, redraws }: WatchOptions): Promise<Answer> {
  const leave = redraws ? enterScreen(out) : () => {}
  try {
    for (;;) {
      const answer = await ask()
      if (!answer.ok) return answer
      const text = show(answer)
      out.write(redraws ? redrawn(text, out.rows) : text)
      await sleep(INTERVAL_MS)
    }
  } finally {
    leave()
  }
}

/** @param rows of the terminal; more lines would scroll */
function redrawn(text: string, rows: number): string {
  const lines = text
    .trimEnd()
    .split('\n')
    .slice(0, rows - 1)
  const foot = `every second · Ctrl-C ends · ${new Date().toTimeString().slice(0, 8)}`
  return `\x1b[H${[...lines, foot].map((line) => `${line}\x1b[K`).join('\n')}\x1b[J`
}

/** @returns a function that shows again what the terminal showed before */
function enterScreen(out: NodeJS.WriteStream): () => void {
  const leave = () => {
    process.off('exit', leave)
    out.write(LEAVE)
  }
  process.on('exit', leave)
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15]
  ] as const) {
    process.once(signal, () => process.exit(128 + number))
  }
  out.write(ENTER)
  return leave
}
