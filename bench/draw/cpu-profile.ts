/** The parts of a V8 .cpuprofile that are read. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Node ids, one per sample. */
  readonly samples: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[]
}

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}

/** A function as it was called from its parent; times in µs. */
export interface Frame {
  readonly name: string
  readonly category: string
  self: number
  /** Including its callees. */
  total: number
  readonly children: Map<string, Frame>
}

/** Idle time is no cost, and starting the profile is not the work of the service. */
const isLeftOut = ({ functionName, url }: ProfileNode['callFrame']) =>
  functionName === '(idle)' || url.startsWith('node:inspector')

/** The calls of a profile as a tree. Calls with the same name and parents are one frame; idle time is left out. */
export function frames(profile: CpuProfile): Frame {
  const selfOf = new Map<number, number>()
  profile.samples.forEach((id, nth) => {
    selfOf.set(id, (selfOf.get(id) ?? 0) + Math.max(0, profile.timeDeltas[nth] ?? 0))
  })
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const called = new Set(profile.nodes.flatMap(({ children = [] }) => children))
  const root: Frame = { name: 'all', category: '', self: 0, total: 0, children: new Map() }
  const add = (id: number, parent: Frame): number => {
    const node = nodes.get(id)
    if (node === undefined || isLeftOut(node.callFrame)) return 0
    const name = nameOf(node.callFrame)
    let frame = parent.children.get(name)
    if (!frame) {
      frame = { name, category: categoryOf(node.callFrame), self: 0, total: 0, children: new Map() }
      parent.children.set(name, frame)
    }
    const self = selfOf.get(id) ?? 0
    let total = self
    for (const child of node.children ?? []) total += add(child, frame)
    frame.self += self
    frame.total += total
    return total
  }
  for (const { id, callFrame, children = [] } of profile.nodes) {
    if (called.has(id)) continue
    // The root of V8 is no function; the tree begins with its callees.
    if (callFrame.functionName === '(root)') for (const child of children) root.total += add(child, root)
    else root.total += add(id, root)
  }
  return root
}

/** Self times in µs of all frames, summed by `key`, largest first. */
export function selfTimes(root: Frame, key: (frame: Frame) => string): [key: string, micros: number][] {
  const sums = new Map<string, number>()
  const add = (frame: Frame) => {
    if (frame.self > 0) sums.set(key(frame), (sums.get(key(frame)) ?? 0) + frame.self)
    for (const child of frame.children.values()) add(child)
  }
  add(root)
  return [...sums].sort(([, a], [, b]) => b - a)
}

function nameOf({ functionName, url }: ProfileNode['callFrame']): string {
  const file = /[^/]*$/.exec(url)?.[0] ?? ''
  return `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file.replace(/^node:internal\//, 'node:')}`}`
}

/** The owner of a function: this service, a package, a part of Node, or a category of V8. */
export function categoryOf({ functionName, url }: { functionName: string; url: string }): string {
  if (functionName === '(garbage collector)') return 'garbage collection'
  if (functionName === '(program)') return 'native code outside JavaScript'
  const inPackage = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (inPackage !== undefined) return inPackage
  if (url.startsWith('node:')) return `node: ${nodePart(url)}`
  if (url.startsWith('file:') || url.startsWith('/')) return 'muster'
  return 'native functions: system calls, cryptography, strings'
}

function nodePart(url: string): string {
  if (/^node:_?(internal\/)?(http|_http)/.test(url)) return 'http'
  if (/stream|net|tls/.test(url)) return 'net and streams'
  if (/timers|process|async|event|domexception/.test(url)) return 'events, timers, promises'
  if (/crypto/.test(url)) return 'crypto'
  return 'other'
}
