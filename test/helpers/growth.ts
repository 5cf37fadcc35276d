import { readdirSync, readFileSync } from 'node:fs'

/** What a process has of what could grow. */
export interface Size {
  rssMiB: number
  descriptors: number
}

/** Linux only. @throws Error when there is no such process */
export function sizeOf(pid: number): Size {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return {
    rssMiB: Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length
  }
}

/** Sizes of one process, or of those that have its place one after the other, over time. */
export class Growth {
  readonly #samples: (Size & { at: number })[] = []
  readonly #windowMs: number

  /** @param windowMs of what was seen within it, the median counts: so long as what makes it rise and fall takes, or a multiple */
  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** @param at in ms, on any clock that goes on */
  add(size: Size, at: number): void {
    this.#samples.push({ ...size, at })
  }

  /**
   * By how much it grew from the first window on to the last, without the first third, which is warming up: the median of
   * the slopes between any two windows (Theil and Sen), times the time. So a window that is far off, whether at the end or
   * in the middle, counts for little.
   */
  of(what: keyof Size): { last: number; grown: number; minutes: number } {
    const medians = this.#windows().map((some) => ({
      at: median(some.map(({ at }) => at)),
      value: median(some.map((one) => one[what]))
    }))
    const measured = medians.slice(Math.floor(medians.length / 3))
    const [first, last] = [measured[0]!, measured.at(-1)!]
    const slopes = measured.flatMap((a, i) => measured.slice(i + 1).map((b) => (b.value - a.value) / (b.at - a.at)))
    const ms = last.at - first.at
    return { last: last.value, grown: slopes.length > 0 ? median(slopes) * ms : 0, minutes: ms / 60_000 }
  }

  #windows(): (Size & { at: number })[][] {
    const windows: (Size & { at: number })[][] = []
    const begun = this.#samples[0]?.at ?? 0
    for (const one of this.#samples) (windows[Math.floor((one.at - begun) / this.#windowMs)] ??= []).push(one)
    // A window may be empty: the machine was too busy to look.
    return Object.values(windows)
  }
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2
}
