import type { ProfileOrigin } from '../../src/ipc/profile-origin.ts'
import type { CpuProfile, ProfileNode } from '../../src/profiling/cpu-profile.ts'
import type { Random } from './random.ts'

/** A call of a synthetic program: its stack from the outermost function, and how much of the busy time it takes. */
export interface Call {
  /** Each is `name@url:line:column`, with line and column from 0; V8's own have no url. */
  stack: string[]
  weight: number
}

interface Options {
  samples: number
  random: Random
  /** The share of samples without work. */
  idle?: number
  /** How many samples in a row look at the same call, on average. */
  run?: number
  origin?: ProfileOrigin
}

/** Draws samples of a program as V8 would record them. */
export function profileOf(
  calls: readonly Call[],
  { samples, random, idle = 0.3, run = 3, origin }: Options
): CpuProfile {
  const nodes: (ProfileNode & { children: number[] })[] = []
  const add = (text: string, parent?: number): number => {
    const known = nodes[(parent ?? 0) - 1]?.children.find((id) => idText.get(id) === text)
    if (known) return known
    const [, functionName = '', url = '', line = '-1', column = '-1'] = /^(.*?)(?:@(.*):(\d+):(\d+))?$/.exec(text) ?? []
    const id = nodes.length + 1
    idText.set(id, text)
    nodes.push({
      id,
      callFrame: { functionName, url, lineNumber: Number(line), columnNumber: Number(column) },
      children: []
    })
    if (parent) nodes[parent - 1]!.children.push(id)
    return id
  }
  const idText = new Map<number, string>()
  const root = add('(root)')
  const idleId = add('(idle)', root)
  const leaves = calls.map(({ stack }) => stack.reduce((parent, text) => add(text, parent), root))
  const all = calls.reduce((sum, { weight }) => sum + weight, 0)
  const draw = () => {
    if (random.chance(idle)) return idleId
    let rest = random.next() * all
    return leaves[calls.findIndex(({ weight }) => (rest -= weight) < 0)] ?? leaves[0]!
  }
  const drawn: number[] = []
  for (let current = draw(); drawn.length < samples; ) {
    drawn.push(current)
    if (random.chance(1 / run)) current = draw()
  }
  return { nodes, samples: drawn, ...(origin && { muster: origin }) }
}
