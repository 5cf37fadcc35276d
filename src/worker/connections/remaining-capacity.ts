import type { AcceptGate } from '../../net/accept-gate.ts'
import type { ConnectionRegistry } from './connection-registry.ts'

/**
 * Updates the gate with every connection, and reports how many more connections this worker has file descriptors for when
 * that matters to the primary, which then gives it no more than these.
 * @param low above this number the capacity counts as plenty: the primary never has that many under way to one worker
 * @param report is called when connections closed while the capacity is low
 * @returns a function that returns the capacity, 0 or more; undefined means plenty
 */
export function watchCapacity(
  registry: ConnectionRegistry,
  gate: AcceptGate,
  low: number,
  report: (capacity: number) => void
): () => number | undefined {
  const capacity = () => {
    const left = gate.update(registry.openCount)
    return left > low ? undefined : Math.max(0, left)
  }
  let planned = false
  registry.onCountChange = (change) => {
    if (capacity() === undefined || change > 0 || planned) return
    planned = true
    setImmediate(() => {
      planned = false
      report(capacity() ?? low)
    })
  }
  return capacity
}
