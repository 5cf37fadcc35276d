import type { ConstructorSize, HeapSummary } from './heap-summary.ts'

export interface ConstructorChange {
  /** Of the constructor. */
  readonly name: string
  readonly objectsBefore: number
  readonly objects: number
  readonly selfBytesBefore: number
  readonly selfBytes: number
  readonly retainedBytesBefore: number
  readonly retainedBytes: number
}

/**
 * Compares two heaps by constructor, the one whose retained size grew most first. The objects themselves cannot be compared: each
 * snapshot is of another process.
 */
export function compareHeaps(before: HeapSummary, now: HeapSummary): ConstructorChange[] {
  const none = { objects: 0, selfBytes: 0, retainedBytes: 0 }
  const byName = ({ constructors }: HeapSummary) =>
    new Map(constructors.map((size): [string, ConstructorSize] => [size.name, size]))
  const [old, current] = [byName(before), byName(now)]
  return [...new Set([...current.keys(), ...old.keys()])]
    .map((name) => {
      const [a, b] = [old.get(name) ?? none, current.get(name) ?? none]
      return {
        name,
        objectsBefore: a.objects,
        objects: b.objects,
        selfBytesBefore: a.selfBytes,
        selfBytes: b.selfBytes,
        retainedBytesBefore: a.retainedBytes,
        retainedBytes: b.retainedBytes
      }
    })
    .sort((a, b) => b.retainedBytes - b.retainedBytesBefore - (a.retainedBytes - a.retainedBytesBefore))
}
