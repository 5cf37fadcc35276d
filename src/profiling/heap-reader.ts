import { type HeapGraph, isNamedByString } from './heap-graph.ts'

/** Longer names are cut. */
const MAX_NAME_BYTES = 200
const MAX_HEADER_BYTES = 64 * 1024

const [QUOTE, BACKSLASH, MINUS, ZERO, NINE, COMMA, CLOSE] = [34, 92, 45, 48, 57, 44, 93]

interface Meta {
  node_fields: string[]
  node_types: (string[] | string)[]
  edge_fields: string[]
  edge_types: (string[] | string)[]
}

type Section = 'header' | 'nodes' | 'edges' | 'strings' | 'end'

/**
 * Reads a .heapsnapshot file piece by piece. Keeps 17 bytes for each object, 5 for each reference and the names of constructors, about
 * half of the size of the file; the file as a JSON value would need many times its size.
 */
export class HeapReader {
  #section: Section = 'header'
  /** Whether the list of the section has begun. */
  #isInside = false
  /** The bytes that were not understood yet. */
  #rest = new Uint8Array(0)
  #graph: (HeapGraph & { names: Map<number, string> }) | undefined
  #fields: { node: Map<string, number>; edge: Map<string, number> } | undefined
  /** The number that is being read, and its place in the list. */
  #number = { value: 0, digits: 0, at: 0 }
  /** The string that is being read; undefined between two strings. */
  #string: { bytes: number[]; isEscaped: boolean } | undefined
  #strings = 0
  #wanted = new Uint8Array(0)
  readonly #decoder = new TextDecoder()

  /** @throws Error when the text is no heap snapshot */
  write(chunk: Uint8Array): void {
    let at = 0
    let bytes = chunk
    while (at < bytes.length && this.#section !== 'end') {
      if (this.#isInside) {
        at = this.#section === 'strings' ? this.#readStrings(bytes, at) : this.#readNumbers(bytes, at)
      } else {
        bytes = concat(this.#rest, bytes.subarray(at))
        at = this.#findSection(bytes)
      }
    }
  }

  /** @throws Error when the file is incomplete, or no snapshot */
  end(): HeapGraph {
    if (this.#section === 'header') throw noSnapshot()
    if (this.#section !== 'end') throw new Error('the heap snapshot is incomplete: take it again')
    return this.#graph!
  }

  /** Looks for the beginning of the list that comes next. @returns the place after it; the end, if it is not there yet */
  #findSection(bytes: Uint8Array): number {
    const next = this.#section === 'header' ? 'nodes' : this.#section
    const mark = `"${next}":[`
    const at = indexOf(bytes, mark)
    if (at < 0) {
      if (this.#section === 'header' && bytes.length > MAX_HEADER_BYTES) throw noSnapshot()
      // Between the lists there are only numbers; the end may contain the beginning of the mark.
      this.#rest = this.#section === 'header' ? bytes.slice() : bytes.slice(-mark.length)
      return bytes.length
    }
    if (this.#section === 'header') this.#readHeader(this.#decoder.decode(bytes.subarray(0, at)))
    this.#section = next
    this.#rest = new Uint8Array(0)
    this.#number = { value: 0, digits: 0, at: 0 }
    this.#isInside = true
    return at + mark.length
  }

  #readHeader(text: string): void {
    const json = text.trim().replace(/,$/, '')
    let header: { snapshot?: { meta?: Meta; node_count?: number; edge_count?: number } }
    try {
      header = JSON.parse(`${json}}`) as typeof header
    } catch {
      throw noSnapshot()
    }
    const { meta, node_count: nodes = -1, edge_count: edges = -1 } = header.snapshot ?? {}
    if (!meta || nodes < 1 || edges < 0) throw noSnapshot()
    const indexes = (names: string[]) => new Map(names.map((name, i) => [name, i]))
    this.#fields = { node: indexes(meta.node_fields), edge: indexes(meta.edge_fields) }
    this.#graph = {
      nodeTypes: meta.node_types[0] as string[],
      edgeTypes: meta.edge_types[0] as string[],
      nodes,
      types: new Uint8Array(nodes),
      nameOf: new Uint32Array(nodes),
      sizes: new Float64Array(nodes),
      firstEdge: new Uint32Array(nodes + 1),
      edgeType: new Uint8Array(edges),
      edgeTo: new Uint32Array(edges),
      names: new Map()
    }
  }

  #readNumbers(bytes: Uint8Array, from: number): number {
    const { node, edge } = this.#fields!
    const isNodes = this.#section === 'nodes'
    const fields = isNodes ? node.size : edge.size
    const put = isNodes ? this.#nodeWriter() : this.#edgeWriter()
    let { value, digits, at: index } = this.#number
    let at = from
    for (; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (byte >= ZERO && byte <= NINE) {
        value = value * 10 + byte - ZERO
        digits++
      } else if (byte === COMMA || byte === CLOSE) {
        if (digits > 0) {
          put(index % fields, Math.floor(index / fields), value)
          index++
        }
        value = 0
        digits = 0
        if (byte === CLOSE) break
      } else if (byte > 32 && byte !== MINUS) throw noSnapshot()
    }
    this.#number = { value, digits, at: index }
    if (at === bytes.length) return at
    this.#endOfNumbers(index / fields)
    return at + 1
  }

  #endOfNumbers(count: number): void {
    const graph = this.#graph!
    const expected = this.#section === 'nodes' ? graph.nodes : graph.edgeTo.length
    if (count !== expected)
      throw new Error(`the heap snapshot is damaged: ${this.#section} has ${count}, not ${expected}`)
    this.#isInside = false
    if (this.#section === 'nodes') this.#section = 'edges'
    else {
      this.#section = 'strings'
      this.#wanted = wantedNames(graph)
    }
  }

  #nodeWriter(): (field: number, index: number, value: number) => void {
    const { types, nameOf, sizes, firstEdge, nodes } = this.#graph!
    const { node } = this.#fields!
    const [type, name, size, edges] = ['type', 'name', 'self_size', 'edge_count'].map((field) => node.get(field))
    return (field, index, value) => {
      if (index >= nodes) return
      if (field === type) types[index] = value
      else if (field === name) nameOf[index] = value
      else if (field === size) sizes[index] = value
      else if (field === edges) firstEdge[index + 1] = firstEdge[index]! + value
    }
  }

  #edgeWriter(): (field: number, index: number, value: number) => void {
    const { edgeType, edgeTo } = this.#graph!
    const { node, edge } = this.#fields!
    const [type, to] = ['type', 'to_node'].map((field) => edge.get(field))
    return (field, index, value) => {
      if (field === type) edgeType[index] = value
      else if (field === to) edgeTo[index] = value / node.size
    }
  }

  #readStrings(bytes: Uint8Array, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]!
      const string = this.#string
      if (!string) {
        if (byte === QUOTE) this.#string = { bytes: [], isEscaped: false }
        else if (byte === CLOSE) {
          this.#section = 'end'
          return bytes.length
        }
      } else if (byte === QUOTE && !string.isEscaped) {
        if (this.#wanted[this.#strings]) this.#graph!.names.set(this.#strings, this.#decode(string.bytes))
        this.#strings++
        this.#string = undefined
      } else {
        string.isEscaped = byte === BACKSLASH && !string.isEscaped
        if (this.#wanted[this.#strings] && string.bytes.length < MAX_NAME_BYTES) string.bytes.push(byte)
      }
    }
    return bytes.length
  }

  #decode(bytes: number[]): string {
    const text = this.#decoder.decode(Uint8Array.from(bytes))
    if (bytes.length >= MAX_NAME_BYTES) return `${text.replace(/\\[^\\]*$/, '')}…`
    return JSON.parse(`"${text}"`) as string
  }
}

const noSnapshot = () => new Error('not a heap snapshot: `muster heap SLOT` writes a .heapsnapshot file')

/** The strings that are names of constructors, as a set of indexes. */
function wantedNames({ types, nameOf, nodeTypes, nodes }: HeapGraph): Uint8Array<ArrayBuffer> {
  const byString = Uint8Array.from(nodeTypes, (type) => (isNamedByString(type) ? 1 : 0))
  let last = 0
  for (const name of nameOf) if (name > last) last = name
  const wanted = new Uint8Array(last + 1)
  for (let i = 0; i < nodes; i++) if (byString[types[i]!]) wanted[nameOf[i]!] = 1
  return wanted
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

function indexOf(bytes: Uint8Array, mark: string): number {
  const first = mark.charCodeAt(0)
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let i = 1
    while (i < mark.length && bytes[at + i] === mark.charCodeAt(i)) i++
    if (i === mark.length) return at
  }
  return -1
}
