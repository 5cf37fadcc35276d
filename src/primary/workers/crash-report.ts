import type { Cut } from '../../ipc/drain-report.ts'
import type { DrainReport } from '../../ipc/messages.ts'

/**
 * @param settled what the worker reported when it began to linger
 * @returns its report when it ends without one: what it waited for is cut, the rest was answered meanwhile
 */
export function reportOfCrash(settled: DrainReport | undefined, cuts: Cut[]): DrainReport {
  const cut = cuts.reduce((sum, { count }) => sum + count, 0)
  const { waiting = cut, ...before } = settled ?? { total: cut, handedOver: 0, answered: 0, idle: 0, left: 0, cut: 0 }
  const allCuts = [...(settled?.cuts ?? []), ...cuts]
  return { ...before, answered: before.answered + Math.max(0, waiting - cut), cut: before.cut + cut, cuts: allCuts }
}
