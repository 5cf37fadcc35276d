import { type HeapGraph, keepsAlive } from './heap-graph.ts'

/** The dominator tree: what a node dominates is freed with it. Nodes are numbered in the order of a depth-first search. */
export interface Dominators {
  /** The node of each number. Nodes that are not reachable have none. */
  readonly nodes: Uint32Array
  /** The number of the nearest node through which every path from the root goes; smaller than the own number. */
  readonly dominator: Int32Array
}

/**
 * Computes dominators by the method SEMI-NCA (Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems", 2005),
 * without recursion: heaps have paths of millions of nodes.
 */
export function findDominators(graph: HeapGraph): Dominators {
  const { nodes, parent, numbers } = numberNodes(graph)
  const count = nodes.length
  const sources = reverseEdges(graph, nodes, numbers)
  const dominator = parent.slice()
  const semi = Int32Array.from({ length: count }, (_, i) => i)
  const label = semi.slice()
  // `parent` becomes the compressed forest of the nodes that are done.
  const find = createFind(parent, semi, label)
  for (let i = count - 1; i > 0; i--) {
    let least = dominator[i]!
    for (let e = sources.first[i]!; e < sources.first[i + 1]!; e++) {
      const candidate = semi[find(sources.from[e]!, i + 1)]!
      if (candidate < least) least = candidate
    }
    semi[i] = least
  }
  for (let i = 1; i < count; i++) {
    let candidate = dominator[i]!
    while (candidate > semi[i]!) candidate = dominator[candidate]!
    dominator[i] = candidate
  }
  return { nodes, dominator }
}

/** Numbers all nodes that can be reached, in preorder. */
function numberNodes(graph: HeapGraph) {
  const { firstEdge, edgeTo } = graph
  const keeps = keepsAlive(graph)
  const numbers = new Int32Array(graph.nodes).fill(-1)
  const nodes = new Uint32Array(graph.nodes)
  const parent = new Int32Array(graph.nodes)
  const path = new Uint32Array(graph.nodes)
  const nextEdge = firstEdge.slice()
  parent[0] = -1
  numbers[0] = 0
  let [count, depth] = [1, 1]
  while (depth > 0) {
    const node = path[depth - 1]!
    const edge = nextEdge[node]!++
    if (edge >= firstEdge[node + 1]!) {
      depth--
      continue
    }
    const to = edgeTo[edge]!
    if (numbers[to] !== -1 || !keeps(node, edge)) continue
    numbers[to] = count
    nodes[count] = to
    parent[count] = numbers[node]!
    path[depth++] = to
    count++
  }
  return { nodes: nodes.slice(0, count), parent: parent.slice(0, count), numbers }
}

/** The numbers of the nodes that refer to each node: those of number `i` are from `first[i]` to below `first[i + 1]`. */
function reverseEdges(graph: HeapGraph, nodes: Uint32Array, numbers: Int32Array) {
  const { firstEdge, edgeTo } = graph
  const keeps = keepsAlive(graph)
  const first = new Uint32Array(nodes.length + 2)
  const forEach = (use: (from: number, to: number) => void) => {
    for (const [number, node] of nodes.entries()) {
      for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
        if (keeps(node, edge)) use(number, numbers[edgeTo[edge]!]!)
      }
    }
  }
  // Counted two places ahead, so that the starts are in place after the edges have been filled in.
  forEach((_, to) => void first[to + 2]!++)
  for (let i = 2; i < first.length; i++) first[i]! += first[i - 1]!
  const from = new Uint32Array(first.at(-1)!)
  forEach((source, to) => void (from[first[to + 1]!++] = source))
  return { first, from }
}

/** Returns a function that finds the node with the least semidominator on the path of done nodes above a node. */
function createFind(ancestor: Int32Array, semi: Int32Array, label: Int32Array) {
  const stack = new Int32Array(ancestor.length)
  /** @param done nodes from this number on are done */
  return (node: number, done: number): number => {
    if (ancestor[node]! < done) return label[node]!
    let depth = 0
    let above = node
    while (ancestor[above]! >= done) {
      stack[depth++] = above
      above = ancestor[above]!
    }
    const top = ancestor[above]!
    while (depth > 0) {
      const next = stack[--depth]!
      ancestor[next] = top
      if (semi[label[above]!]! < semi[label[next]!]!) label[next] = label[above]!
      above = next
    }
    return label[above]!
  }
}
