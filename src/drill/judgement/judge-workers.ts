import { type FaultName, failuresOf, type Observations } from '../observations.ts'
import { type Finding, held, ofStep, skipped, unless } from './verdict.ts'

/** Promise 5: what ends is found and replaced, at the cost of its own requests only, and the port never refuses a connection. */
export function judgeWorkers(seen: Observations): Finding[] {
  const port = judgePort(seen)
  const findings = [
    ...(['kill', 'hang', 'memory'] as const).flatMap((fault) => judgeEnd(seen, fault)),
    ...judgeSlowClients(seen)
  ]
  // Without one of these faults, a port that never refused says little.
  const isTried = findings.some(({ verdict }) => verdict !== 'skipped')
  return isTried || port?.verdict === 'broken' ? [...findings, ...(port ? [port] : [])] : findings
}

const judgeEnd = (seen: Observations, fault: FaultName): Finding[] =>
  ofStep(seen, fault, ({ load, worker }) => {
    if (!worker) return []
    const { slot, why, replacedMs, limitMs, mustEnd } = worker
    if (!mustEnd && why === undefined) return held(`${fault}: the worker of slot ${slot} served on`)
    const figure = `${fault}: replaced after ${replacedMs} ms, ${failuresOf(load)} of ${load.answered} requests failed`
    return unless(
      [replacedMs === undefined && `${fault}: the worker of slot ${slot} was not replaced in ${limitMs} ms`],
      figure
    )
  })

const judgeSlowClients = (seen: Observations): Finding[] =>
  ofStep(seen, 'slow-clients', ({ slow }) => {
    if (!slow) return []
    const { clients, closed, limitMs } = slow
    const kept = clients - closed
    return unless(
      [kept > 0 && `slow-clients: ${kept} of ${clients} were kept for ${limitMs} ms`],
      `slow-clients: ${clients} were closed`
    )
  })

/** Over all steps. */
function judgePort({ service, steps }: Observations): Finding | undefined {
  if (service.scheduling === 'reuseport') return skipped('the port: with reuseport it may refuse')
  const refused = steps.reduce((sum, { load }) => sum + (load.failed.refused ?? 0), 0)
  return unless([refused > 0 && `the port refused ${refused} connections`], 'the port refused no connection')
}
