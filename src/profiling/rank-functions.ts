import { type CpuProfile, type ProfiledFunction, sampleCounts } from './cpu-profile.ts'
import { countSamples, sum } from './function-samples.ts'

/** Shares are of the busy samples, 0 to 1. */
export interface FunctionShare {
  readonly of: ProfiledFunction
  readonly self: number
  readonly total: number
}

/** Ranks the functions of profiles by their self share. */
export function rankFunctions(profiles: readonly CpuProfile[]): {
  functions: FunctionShare[]
  busy: number
  all: number
} {
  const { busy, all } = sampleCounts(profiles)
  const functions = [...countSamples(profiles).functions.values()]
    .map(({ of, self, total }) => ({ of, self: sum(self) / busy, total: sum(total) / busy }))
    .sort((a, b) => b.self - a.self || b.total - a.total)
  return { functions: busy === 0 ? [] : functions, busy, all }
}
