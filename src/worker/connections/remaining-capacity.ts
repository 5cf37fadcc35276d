import type { AcceptGate } from '../../net/accept-gate.ts'
import type { Connections } from './connections.ts'

/**
 * Keeps the gate up to date, and says how many more connections this worker can take as soon as that matters to the primary,
 * which then gives it no more than these.
 * @param low more than this is plenty: the primary never has so many under way to one worker
 * @param tell is called when connections have gone and there was little room
 * @returns the room, 0 or more; undefined: plenty
 */
export function watchRoom(
  connections: Connections,
  gate: AcceptGate,
  low: number,
  tell: (room: number) => void
): () => number | undefined {
  let planned = false
  const room = () => {
    const left = gate.update(connections.open)
    return left > low ? undefined : Math.max(0, left)
  }
  connections.onChange = (change) => {
    const left = room()
    if (left === undefined || change > 0 || planned) return
    planned = true
    setImmediate(() => {
      planned = false
      tell(room() ?? low)
    })
  }
  return room
}
