import type { Session } from 'node:inspector/promises'
import { setFlagsFromString } from 'node:v8'
import { collectsCoverage } from '../config/code-loading.ts'

/** V8 reads `_` as `-`, and takes `no` with and without a hyphen. */
const FLAG = /^--(no-?)?turbo-inlining$/

/**
 * Returns whether V8 inlines functions by default in a process with these flags. Node accepts this flag on the command line only, not
 * in NODE_OPTIONS.
 *
 * @param flags as in `process.execArgv`; the last one counts
 */
export function inlinesFunctions(flags: readonly string[]): boolean {
  const last = flags.findLast((flag) => FLAG.test(flag.replaceAll('_', '-')))
  return last === undefined || !last.startsWith('--no')
}

/**
 * Allows or forbids V8 to inline functions, and makes it throw its optimized code away; what is hot is optimized again within some
 * 100 ms. The samples of inlined functions often count for their caller, so that a release with a slow function looks like one
 * without (`long/planted-cost`). Node warns of changing flags once V8 runs; this one is read when an optimization begins, and by
 * nothing else.
 *
 * @returns false when nothing is changed, because the process was started with `--no-turbo-inlining`
 */
export async function setInlining(session: Session, isAllowed: boolean): Promise<boolean> {
  // The coverage of a test runner would end with this one.
  if (collectsCoverage() || !inlinesFunctions(process.execArgv)) return false
  setFlagsFromString(isAllowed ? '--turbo-inlining' : '--no-turbo-inlining')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await session.post('Profiler.stopPreciseCoverage')
  return true
}
