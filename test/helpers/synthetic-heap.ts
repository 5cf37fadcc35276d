/** An object of a synthetic heap: its type, its name, its bytes, and the objects that it refers to. */
export interface HeapObject {
  type?: string
  name?: string
  bytes: number
  to: readonly (number | { to: number; type: string })[]
}

const NODE_TYPES = ['hidden', 'array', 'string', 'object', 'code', 'closure', 'synthetic']
const EDGE_TYPES = ['context', 'element', 'property', 'internal', 'hidden', 'shortcut', 'weak']

/** Writes a heap as V8 does. Object 0 is the root. */
export function heapSnapshotOf(objects: readonly HeapObject[]): string {
  const strings: string[] = []
  const indexOf = (text: string) => {
    const known = strings.indexOf(text)
    return known < 0 ? strings.push(text) - 1 : known
  }
  const nodes = objects.map(({ type = 'object', name = '', bytes, to }, i) =>
    [NODE_TYPES.indexOf(type), indexOf(name), 2 * i + 1, bytes, to.length, 0, 0].join(',')
  )
  const edges = objects.flatMap(({ to }) =>
    to.map((edge) => {
      const { to: target, type } = typeof edge === 'number' ? { to: edge, type: 'property' } : edge
      return [EDGE_TYPES.indexOf(type), 0, target * 7].join(',')
    })
  )
  const meta = {
    node_fields: ['type', 'name', 'id', 'self_size', 'edge_count', 'trace_node_id', 'detachedness'],
    node_types: [NODE_TYPES, 'string', 'number', 'number', 'number', 'number', 'number'],
    edge_fields: ['type', 'name_or_index', 'to_node'],
    edge_types: [EDGE_TYPES, 'string_or_number', 'node']
  }
  const header = JSON.stringify({ meta, node_count: objects.length, edge_count: edges.length, trace_function_count: 0 })
  return `{"snapshot":${header},\n"nodes":[${nodes.join('\n,')}],\n"edges":[${edges.join('\n,')}],\n"trace_function_infos":[],\n"trace_tree":[],\n"samples":[],\n"locations":[1,2,3,4],\n"strings":${JSON.stringify(strings)}}`
}
