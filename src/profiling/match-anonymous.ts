import { type CpuProfile, describeFunction, isLeftOut, type ProfiledFunction } from './cpu-profile.ts'

/**
 * Finds the functions without a name that are the same in both profiles although an edit has moved them to other lines: in each
 * file, those in no common place are paired in their order, where they begin at the same column.
 * @returns the key in `now` by the key in `before`
 */
export function matchAnonymous(before: readonly CpuProfile[], now: readonly CpuProfile[]): Map<string, string> {
  const [old, current] = [anonymousOf(before), anonymousOf(now)]
  const matches = new Map<string, string>()
  for (const [place, candidates] of groupByColumn(old, current)) {
    const targets = groupByColumn(current, old).get(place) ?? []
    for (const [i, { key }] of candidates.entries()) if (targets[i]) matches.set(key, targets[i].key)
  }
  return matches
}

function anonymousOf(profiles: readonly CpuProfile[]): Map<string, ProfiledFunction> {
  const found = new Map<string, ProfiledFunction>()
  for (const { nodes, muster } of profiles) {
    for (const node of nodes) {
      if (node.callFrame.functionName !== '' || isLeftOut(node)) continue
      const of = describeFunction(node, muster)
      found.set(of.key, of)
    }
  }
  return found
}

/** By file and column, in the order of lines. Functions that the other side has too are left out. */
function groupByColumn(
  functions: ReadonlyMap<string, ProfiledFunction>,
  others: ReadonlyMap<string, ProfiledFunction>
): Map<string, ProfiledFunction[]> {
  const groups = new Map<string, ProfiledFunction[]>()
  for (const of of [...functions.values()].sort((a, b) => a.line - b.line)) {
    if (others.has(of.key)) continue
    const place = `${of.owner} ${of.file} ${of.column}`
    groups.set(place, [...(groups.get(place) ?? []), of])
  }
  return groups
}
