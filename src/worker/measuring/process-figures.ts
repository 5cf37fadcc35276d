import { constants, PerformanceObserver, performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { type Measurement, STALL_MS } from '../../ipc/measurement.ts'

const TIMER_MS = 20

/** Measures the process from its creation on: the time, the CPU time, the stalls of the event loop and the memory. */
export class ProcessFigures {
  readonly #startedAt = performance.now()
  readonly #cpuAtStart = process.cpuUsage()
  readonly #collections: PerformanceObserver
  readonly #timer: NodeJS.Timeout
  #stalledMs = 0
  #memoryBytes: number | undefined

  constructor() {
    let expected = performance.now() + TIMER_MS
    this.#timer = setInterval(() => {
      const now = performance.now()
      const late = now - expected
      if (late > STALL_MS) this.#stalledMs += late
      expected = now + TIMER_MS
    }, TIMER_MS).unref()
    this.#collections = new PerformanceObserver((list) => {
      const isMajor = list.getEntries().some((entry) => kindOf(entry) === constants.NODE_PERFORMANCE_GC_MAJOR)
      if (isMajor) this.#memoryBytes = usedMemory()
    })
    this.#collections.observe({ entryTypes: ['gc'] })
  }

  read(): Pick<Measurement, 'seconds' | 'stalledMs' | 'cpuMicros' | 'memoryBytes'> {
    const { user, system } = process.cpuUsage(this.#cpuAtStart)
    return {
      seconds: (performance.now() - this.#startedAt) / 1000,
      stalledMs: this.#stalledMs,
      cpuMicros: user + system,
      memoryBytes: this.#memoryBytes
    }
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#collections.disconnect()
  }
}

const kindOf = (entry: object) => (entry as { detail?: { kind?: number } }).detail?.kind

/** `process.memoryUsage` would open a file. */
function usedMemory(): number {
  const { used_heap_size, external_memory } = getHeapStatistics()
  return used_heap_size + external_memory
}
