import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { cleanup } from './cleanup.ts'
import { PATIENCE_MS } from './service.ts'

/** A command on a terminal of its own, which `script` of util-linux makes. */
export class Terminal {
  readonly child: ChildProcess
  /** Everything that was shown, with the control sequences. */
  raw = ''

  constructor(t: TestContext, command: string, env: NodeJS.ProcessEnv, size = { rows: 24, columns: 100 }) {
    const words = `stty rows ${size.rows} cols ${size.columns}; exec ${command}`
    this.child = spawn('script', ['-qefc', words, '/dev/null'], {
      env: { TERM: 'xterm-256color', ...env },
      stdio: 'pipe'
    })
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.raw += text
    })
    cleanup(t, () => this.child.kill('SIGKILL'))
  }

  get text(): string {
    return stripVTControlCharacters(this.raw)
  }

  /** The output with a visible sign in place of each Escape. */
  get escaped(): string {
    return this.raw.replaceAll('\x1b', '␛')
  }

  type(keys: string): void {
    this.child.stdin!.write(keys)
  }

  /** Waits until the shown text, or the output with its control sequences, matches. @returns the match */
  async shows(pattern: RegExp, part: 'text' | 'escaped' = 'text'): Promise<RegExpExecArray> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    for (;;) {
      const match = pattern.exec(this[part])
      if (match) return match
      await once(this.child.stdout!, 'data', { signal }).catch(() => {
        throw new Error(`the terminal does not show ${pattern}:\n${JSON.stringify(this.raw)}`)
      })
    }
  }
}
