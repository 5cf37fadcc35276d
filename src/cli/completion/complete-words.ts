import { sendCommand } from '../admin-client.ts'
import { findService } from '../find-service.ts'
import { complete, FILES, type Known } from './complete.ts'

/** A shell waits for the answer whenever its user presses Tab. */
const TIMEOUT_MS = 1000

/** `muster complete-words WORD…`: prints what may come next, for the scripts of {@link completionScript}. Prints no errors. */
export async function completeWords(words: readonly string[]): Promise<void> {
  // A service that does not answer must not keep the process alive.
  setTimeout(() => process.exit(), TIMEOUT_MS).unref()
  const runDir = words[words.indexOf('--run-dir') + 1]
  const ask = (command: string) => askService(words.includes('--run-dir') ? runDir : undefined, command)
  const known: Known = {
    slots: async () => {
      const { workers } = (await ask('status')) as { workers: { slot: number }[] }
      return [...new Set(workers.map(({ slot }) => slot))].sort((a, b) => a - b)
    },
    settings: async () => Object.keys(((await ask('settings-get')) as { values: object }).values)
  }
  const candidates = await complete(words, known).catch(() => [])
  const lines = candidates.map(([word, description]) => (word === FILES ? word : `${word}\t${description}`))
  process.stdout.write(lines.map((line) => `${line}\n`).join(''), () => process.exit())
}

async function askService(runDir: string | undefined, command: string): Promise<unknown> {
  const { socketPath } = await findService({ variables: runDir ? { RUN_DIR: runDir } : {} })
  const answer = await sendCommand(socketPath, command, {})
  if (!('result' in answer)) throw new Error(answer.message)
  return answer.result
}
