import { callTree, type Frame } from './call-tree.ts'
import type { CpuProfile, ProfiledFunction } from './cpu-profile.ts'
import { type CountedSamples, countSamples, type FunctionSamples, sum } from './function-samples.ts'
import { matchAnonymous } from './match-anonymous.ts'

/** With fewer busy samples on one side, a comparison says little. */
export const FEW_SAMPLES = 300
/** The probability that a comparison of equal programs marks any function. */
const FALSE_ALARM = 0.05
/** Half the width of a 95 % interval, in standard errors. */
const Z95 = 1.96

/** Shares are of the busy samples, 0 to 1. */
export interface FunctionChange {
  readonly of: ProfiledFunction
  readonly selfBefore: number
  readonly self: number
  readonly totalBefore: number
  readonly total: number
  /** The self share is this much higher, with 95 % probability by no more and no less than `margin`. */
  readonly change: number
  readonly margin: number
  /** `change` in standard errors. */
  readonly z: number
  /** The change is no chance: see {@link FALSE_ALARM}. */
  readonly isClear: boolean
}

export interface ProfileComparison {
  /** The function whose self share grew most surely first, the one that shrank most surely last. */
  readonly functions: readonly FunctionChange[]
  readonly busyBefore: number
  readonly busy: number
  /** Calls of both sides. */
  readonly tree: Frame
}

/** Compares profiles by the share of busy samples that each function has. The two sides may differ in number and length. */
export function compareProfiles(before: readonly CpuProfile[], now: readonly CpuProfile[]): ProfileComparison {
  const aliases = matchAnonymous(before, now)
  const old = countSamples(before, aliases)
  const current = countSamples(now)
  const keys = new Set([...current.functions.keys(), ...old.functions.keys()])
  const [busyBefore, busy] = [sum(old.busy), sum(current.busy)]
  const functions = busyBefore === 0 || busy === 0 ? [] : [...keys].map((key) => compareFunction(key, old, current))
  const limit = criticalZ(FALSE_ALARM / Math.max(1, functions.length))
  return {
    functions: functions
      .map((change) => ({ ...change, isClear: Math.abs(change.z) >= limit }))
      .sort((a, b) => b.z - a.z || b.total - a.total),
    busyBefore,
    busy,
    tree: callTree(now, before, aliases)
  }
}

/**
 * Returns at most `max` changes in their order: the clear ones, the surest first, and then those of the functions that cost most,
 * because changes that are not clear are chance.
 */
export function notableChanges(functions: readonly FunctionChange[], max: number): readonly FunctionChange[] {
  const surenessOf = ({ isClear, z }: FunctionChange) => (isClear ? Math.abs(z) : 0)
  const costOf = ({ self, selfBefore }: FunctionChange) => Math.max(self, selfBefore)
  const ranked = [...functions].sort((a, b) => surenessOf(b) - surenessOf(a) || costOf(b) - costOf(a))
  const notable = new Set(ranked.slice(0, max))
  return functions.filter((change) => notable.has(change))
}

function compareFunction(key: string, old: CountedSamples, current: CountedSamples): Omit<FunctionChange, 'isClear'> {
  const [a, b] = [old.functions.get(key), current.functions.get(key)]
  const [before, now] = [shareOf(a, old.busy), shareOf(b, current.busy)]
  const pooled = (before.count + now.count) / (before.busy + now.busy)
  // Independent samples vary at least so much; the spans tell when they are not independent, and vary more.
  const independent = pooled * (1 - pooled) * (1 / before.busy + 1 / now.busy)
  const error = Math.sqrt(Math.max(independent, before.variance + now.variance))
  const change = now.share - before.share
  return {
    of: (b ?? a)!.of,
    selfBefore: before.share,
    self: now.share,
    totalBefore: a ? sum(a.total) / before.busy : 0,
    total: b ? sum(b.total) / now.busy : 0,
    change,
    margin: Z95 * error,
    z: error === 0 ? 0 : change / error
  }
}

/** The share of a function in the busy samples, and its variance by the differences between spans (ratio estimator). */
function shareOf(samples: FunctionSamples | undefined, busy: Uint32Array) {
  const all = sum(busy)
  const count = samples ? sum(samples.self) : 0
  const share = count / all
  let squares = 0
  let spans = 0
  for (const [span, inSpan] of busy.entries()) {
    if (inSpan === 0) continue
    spans++
    squares += ((samples?.self[span] ?? 0) - share * inSpan) ** 2
  }
  return { count, busy: all, share, variance: spans < 2 ? 0 : (squares * spans) / (spans - 1) / all ** 2 }
}

/** The z beyond which both tails of the normal distribution together have this probability (Abramowitz and Stegun 26.2.23). */
export function criticalZ(probability: number): number {
  const t = Math.sqrt(-2 * Math.log(probability / 2))
  return t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}
