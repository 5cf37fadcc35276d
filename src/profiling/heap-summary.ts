import { findDominators } from './dominators.ts'
import { constructorOf, type HeapGraph } from './heap-graph.ts'

/** The objects of one constructor. */
export interface ConstructorSize {
  /** Of the constructor. */
  readonly name: string
  readonly objects: number
  readonly selfBytes: number
  /** What would be freed with all of them. */
  readonly retainedBytes: number
}

export interface HeapSummary {
  readonly objects: number
  readonly bytes: number
  /** The largest retained size first. */
  readonly constructors: readonly ConstructorSize[]
}

/** Sums objects by constructor. What the root cannot reach is garbage, and is left out. */
export function summarizeHeap(graph: HeapGraph): HeapSummary {
  const { nodes, dominator } = findDominators(graph)
  const groups = groupNodes(graph, nodes)
  const retained = new Float64Array(nodes.length)
  for (let i = nodes.length - 1; i >= 0; i--) {
    retained[i]! += graph.sizes[nodes[i]!]!
    if (i > 0) retained[dominator[i]!]! += retained[i]!
  }
  const sizes = groups.names.map((name) => ({ name, objects: 0, selfBytes: 0, retainedBytes: 0 }))
  walkDominators(dominator, (i, isWithin) => {
    const size = graph.sizes[nodes[i]!]!
    if (size === 0) return -1
    const group = groups.of[i]!
    sizes[group]!.objects++
    sizes[group]!.selfBytes += size
    // An object that belongs to another one of the same constructor is counted there.
    if (!isWithin(group)) sizes[group]!.retainedBytes += retained[i]!
    return group
  })
  return {
    objects: sizes.reduce((total, { objects }) => total + objects, 0),
    bytes: retained[0]!,
    constructors: sizes.filter(({ objects }) => objects > 0).sort((a, b) => b.retainedBytes - a.retainedBytes)
  }
}

function groupNodes(graph: HeapGraph, nodes: Uint32Array): { names: string[]; of: Uint32Array } {
  const names: string[] = []
  const byName = new Map<string, number>()
  const of = new Uint32Array(nodes.length)
  for (const [i, node] of nodes.entries()) {
    const name = constructorOf(graph, node)
    let group = byName.get(name)
    if (group === undefined) {
      group = names.push(name) - 1
      byName.set(name, group)
    }
    of[i] = group
  }
  return { names, of }
}

/**
 * Visits each node after its dominator.
 * @param visit gets a function that tells whether a node of a group dominates this one; returns the group of the node, or -1
 */
function walkDominators(
  dominator: Int32Array,
  visit: (node: number, isWithin: (group: number) => boolean) => number
): void {
  const count = dominator.length
  const firstChild = new Int32Array(count).fill(-1)
  const sibling = new Int32Array(count).fill(-1)
  for (let i = count - 1; i > 0; i--) {
    sibling[i] = firstChild[dominator[i]!]!
    firstChild[dominator[i]!] = i
  }
  const open = new Map<number, number>()
  const isWithin = (group: number) => (open.get(group) ?? 0) > 0
  const groupOf = new Int32Array(count).fill(-1)
  let node = 0
  for (;;) {
    const group = visit(node, isWithin)
    groupOf[node] = group
    if (group >= 0) open.set(group, (open.get(group) ?? 0) + 1)
    let next = firstChild[node]!
    while (next === -1) {
      const left = groupOf[node]!
      if (left >= 0) open.set(left, open.get(left)! - 1)
      if (node === 0) return
      next = sibling[node]!
      node = dominator[node]!
    }
    node = next
  }
}
