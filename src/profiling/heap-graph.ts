/** The objects of a heap snapshot and their references. Node 0 is the root. */
export interface HeapGraph {
  readonly nodes: number
  readonly nodeTypes: readonly string[]
  readonly edgeTypes: readonly string[]
  /** Index into `nodeTypes`, by node. */
  readonly types: Uint8Array
  /** Index of the node's name among all strings. */
  readonly nameOf: Uint32Array
  /** Bytes of each node itself. */
  readonly sizes: Float64Array
  /** The references of node `i` are those from `firstEdge[i]` to below `firstEdge[i + 1]`. */
  readonly firstEdge: Uint32Array
  readonly edgeType: Uint8Array
  readonly edgeTo: Uint32Array
  /** The names of constructors, by their index among all strings. */
  readonly names: ReadonlyMap<number, string>
}

/** Whether the constructor of a node of this type is the node's own name. All other nodes are grouped by their type. */
export const isNamedByString = (type: string): boolean => type === 'object' || type === 'native'

/** Titles of the groups of nodes without constructor, as Chrome DevTools has them. */
const TITLES: Record<string, string> = {
  code: '(compiled code)',
  closure: 'Function',
  regexp: 'RegExp',
  string: '(string)',
  'concatenated string': '(string)',
  'sliced string': '(string)',
  number: '(number)',
  symbol: '(symbol)',
  bigint: '(bigint)',
  array: '(array)',
  'object shape': '(object shape)',
  hidden: '(system)'
}

/** @returns the name of the constructor, or of the group, of a node */
export function constructorOf({ types, nodeTypes, nameOf, names }: HeapGraph, node: number): string {
  const type = nodeTypes[types[node]!] ?? 'unknown'
  if (!isNamedByString(type)) return TITLES[type] ?? `(${type})`
  return names.get(nameOf[node]!) || '(no name)'
}

/**
 * Whether a reference keeps its target in memory. Weak ones do not; shortcuts repeat other references, except those of the
 * root, to global objects.
 */
export function keepsAlive({ edgeType, edgeTypes }: HeapGraph): (from: number, edge: number) => boolean {
  const [weak, shortcut] = [edgeTypes.indexOf('weak'), edgeTypes.indexOf('shortcut')]
  return (from, edge) => edgeType[edge] !== weak && (edgeType[edge] !== shortcut || from === 0)
}
