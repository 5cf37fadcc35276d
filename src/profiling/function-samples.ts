import { type CpuProfile, describeFunction, isLeftOut, type ProfiledFunction, type ProfileNode } from './cpu-profile.ts'

/**
 * A profile is cut into this many spans of equal length. Samples in a row are alike, because V8 looks at the same call several
 * times: the differences between spans tell how much a share varies from one time to another.
 */
export const SPANS = 30

/** How often a function was seen, in each span. */
export interface FunctionSamples {
  readonly of: ProfiledFunction
  /** In the function itself, or in code of V8 that it called. */
  readonly self: Uint32Array
  /** Anywhere on the stack. */
  readonly total: Uint32Array
}

export interface CountedSamples {
  /** By key. */
  readonly functions: ReadonlyMap<string, FunctionSamples>
  /** Busy samples of each span. */
  readonly busy: Uint32Array
}

/** What a sample of a node counts for. */
interface Stack {
  readonly self: string
  readonly all: ReadonlySet<string>
}

/** Counts samples by function. Idle time is left out. @param aliases other keys for functions, by their keys */
export function countSamples(
  profiles: readonly CpuProfile[],
  aliases: ReadonlyMap<string, string> = new Map()
): CountedSamples {
  const spans = SPANS * profiles.length
  const busy = new Uint32Array(spans)
  const functions = new Map<string, FunctionSamples>()
  for (const [nth, profile] of profiles.entries()) {
    const stacks = stacksOf(profile, aliases, (key, of) => {
      if (!functions.has(key)) {
        functions.set(key, { of: { ...of, key }, self: new Uint32Array(spans), total: new Uint32Array(spans) })
      }
    })
    for (const [i, id] of profile.samples.entries()) {
      const stack = stacks.get(id)
      if (!stack) continue
      const span = nth * SPANS + Math.floor((i * SPANS) / profile.samples.length)
      busy[span]!++
      functions.get(stack.self)!.self[span]!++
      for (const key of stack.all) functions.get(key)!.total[span]!++
    }
  }
  return { functions, busy }
}

/** The stack of each node whose samples count, by the id of the node. */
function stacksOf(
  profile: CpuProfile,
  aliases: ReadonlyMap<string, string>,
  found: (key: string, of: ProfiledFunction) => void
): Map<number, Stack> {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const stacks = new Map<number, Stack>()
  const add = (node: ProfileNode, caller: Stack | undefined): void => {
    let stack = caller
    if (!isLeftOut(node)) {
      const of = describeFunction(node, profile.muster)
      const key = aliases.get(of.key) ?? of.key
      found(key, of)
      const isBuiltIn = of.owner === 'native' && caller !== undefined
      stack = { self: isBuiltIn ? caller.self : key, all: new Set(caller?.all).add(key) }
      stacks.set(node.id, stack)
    } else if (node.callFrame.functionName !== '(root)') return
    for (const id of node.children ?? []) add(nodes.get(id)!, stack)
  }
  const called = new Set(profile.nodes.flatMap(({ children = [] }) => children))
  for (const node of profile.nodes) if (!called.has(node.id)) add(node, undefined)
  return stacks
}

export const sum = (counts: Uint32Array): number => counts.reduce((total, count) => total + count, 0)
