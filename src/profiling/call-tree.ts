import { type CpuProfile, describeFunction, isLeftOut, type ProfiledFunction, type ProfileNode } from './cpu-profile.ts'

/** A function as it was called from its parent. `before` counts samples of the profiles compared with. */
export interface Frame {
  readonly of: ProfiledFunction
  self: number
  /** Including its callees. */
  total: number
  selfBefore: number
  totalBefore: number
  readonly children: Map<string, Frame>
}

const ROOT: ProfiledFunction = { key: '', name: 'all', file: '', line: 0, column: 0, owner: 'native' }

/**
 * Merges the calls of profiles into one tree, in samples. Idle time is left out.
 * @param before the profiles to compare with: their samples are counted in `selfBefore` and `totalBefore`
 * @param aliases the keys that functions of `before` have in `profiles`, where they differ
 */
export function callTree(
  profiles: readonly CpuProfile[],
  before: readonly CpuProfile[] = [],
  aliases: ReadonlyMap<string, string> = new Map()
): Frame {
  const root = newFrame(ROOT)
  // The newer profiles come first: a frame shows the line that its function has in them.
  for (const profile of profiles) addProfile(root, profile, '', new Map())
  for (const profile of before) addProfile(root, profile, 'Before', aliases)
  return root
}

const newFrame = (of: ProfiledFunction): Frame => ({
  of,
  self: 0,
  total: 0,
  selfBefore: 0,
  totalBefore: 0,
  children: new Map()
})

function addProfile(root: Frame, profile: CpuProfile, side: '' | 'Before', aliases: ReadonlyMap<string, string>): void {
  const counts = new Map<number, number>()
  for (const id of profile.samples) counts.set(id, (counts.get(id) ?? 0) + 1)
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  // Stacks are shallow (V8 records 255 frames at most), so recursion is safe.
  const add = (node: ProfileNode, parent: Frame): number => {
    const isRoot = node.callFrame.functionName === '(root)'
    if (isLeftOut(node) && !isRoot) return 0
    const frame = isRoot ? parent : childOf(parent, node, profile, aliases)
    const self = isRoot ? 0 : (counts.get(node.id) ?? 0)
    let total = self
    for (const id of node.children ?? []) {
      const child = nodes.get(id)
      if (child) total += add(child, frame)
    }
    if (isRoot) return total
    frame[`self${side}`] += self
    frame[`total${side}`] += total
    return total
  }
  const called = new Set(profile.nodes.flatMap(({ children = [] }) => children))
  for (const node of profile.nodes) if (!called.has(node.id)) root[`total${side}`] += add(node, root)
}

function childOf(parent: Frame, node: ProfileNode, profile: CpuProfile, aliases: ReadonlyMap<string, string>): Frame {
  const of = describeFunction(node, profile.muster)
  const key = aliases.get(of.key) ?? of.key
  let frame = parent.children.get(key)
  if (!frame) parent.children.set(key, (frame = newFrame({ ...of, key })))
  return frame
}
