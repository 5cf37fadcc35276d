import { readFileSync } from 'node:fs'

const SAMPLE_MS = 50
const PRESSURE = '/proc/pressure/cpu'

/**
 * Knows how long processes of this machine had to wait for a CPU, so that the time of an answer can be judged without it. The service
 * and the drill share the machine, and the drill itself makes it busy.
 */
export class CpuWaits {
  /** Moments in ms of `performance.now()`, and the waiting up to then. */
  readonly #samples: { at: number; waitedMs: number }[] = []
  readonly #timer: NodeJS.Timeout
  #stalledMs = 0

  constructor() {
    this.#sample()
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS)
    this.#timer.unref()
  }

  /** Returns the waiting between two moments, in ms, and at most the whole time. It is never too short, and up to 0.1 s too long. */
  between(from: number, to: number): number {
    const samples = this.#samples
    const first = samples.findLast(({ at }) => at <= from) ?? samples[0]!
    if (samples.at(-1)!.at < to) this.#sample()
    const last = samples.find(({ at }) => at >= to) ?? samples.at(-1)!
    return Math.min(to - from, last.waitedMs - first.waitedMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): void {
    const at = performance.now()
    const last = this.#samples.at(-1)
    if (last) this.#stalledMs += Math.max(0, at - last.at - 2 * SAMPLE_MS)
    // Where the kernel does not count the waiting, that of this process is all that is known.
    this.#samples.push({ at, waitedMs: pressureMs() ?? this.#stalledMs })
  }
}

/** How long at least one process has waited for a CPU, in ms. */
function pressureMs(): number | undefined {
  try {
    const total = /^some .* total=(\d+)/m.exec(readFileSync(PRESSURE, 'utf8'))?.[1]
    return total === undefined ? undefined : Number(total) / 1000
  } catch {
    return undefined
  }
}
