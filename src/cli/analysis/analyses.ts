import type { Analysis } from './analysis.ts'
import { heapCompare, heapTop } from './heap-analysis.ts'
import { profileCompare, profileTop } from './profile-analysis.ts'

/** All analyses, in the order of the help. To add one, write its definition and list it here. */
export const ANALYSES: readonly Analysis[] = [profileTop, profileCompare, heapTop, heapCompare]

/** Finds the analysis that the first two words name. */
export const findAnalysis = ([first, second]: readonly string[]): Analysis | undefined =>
  ANALYSES.find(({ usage }) => usage.startsWith(`${first} ${second} `))
