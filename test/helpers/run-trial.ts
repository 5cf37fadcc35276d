import { judge, newJudgeState } from '../../src/verdict/judge.ts'
import type { MeasureName, VerdictOptions } from '../../src/verdict/verdict-types.ts'
import type { Random } from './random.ts'
import { type Behaviour, HEALTHY, SimulatedArm, type StayingClient, type Traffic } from './simulated-trial.ts'

export interface TrialResult {
  /** The measures that were worse, at the end or when the trial stopped. */
  worse: MeasureName[]
  outcome: 'worse' | 'no worse' | 'undecided'
  seconds: number
  canaryRequests: number
}

/** Simulates one trial, second by second. It stops when the canary is worse, and with `untilDecided` also when it is no worse. */
export function runTrial(
  random: Random,
  traffic: Traffic,
  seconds: number,
  options: Omit<VerdictOptions, 'share'>,
  behaviour: Partial<Behaviour> = {},
  untilDecided = false
): TrialResult {
  const { share } = traffic
  const clients = assignClients(random, traffic.staying, share)
  const canary = new SimulatedArm(random, traffic, share, { ...HEALTHY, ...behaviour }, clients.canary)
  const control = new SimulatedArm(random, traffic, share, HEALTHY, clients.control)
  const others = new SimulatedArm(random, traffic, 1 - 2 * share, HEALTHY, clients.others)
  const trial = { canary: canary.measurement, control: control.measurement, others: others.measurement }
  let state = newJudgeState()
  let result: TrialResult = { worse: [], outcome: 'undecided', seconds: 0, canaryRequests: 0 }
  while (trial.canary.seconds < seconds) {
    canary.step()
    control.step()
    others.stepErrors()
    const judged = judge(state, trial, { ...options, share })
    state = judged.state
    const { outcome, measures } = judged.verdict
    const worse = measures.filter(({ verdict }) => verdict === 'worse').map(({ name }) => name)
    result = { worse, outcome, seconds: trial.canary.seconds, canaryRequests: trial.canary.requests }
    if (outcome === 'worse' || (untilDecided && outcome === 'no worse')) return result
  }
  return result
}

/** Each client that stays is assigned once, by chance. */
function assignClients(random: Random, clients: readonly StayingClient[], share: number) {
  const assigned = clients.map((client) => ({ client, place: random.next() }))
  const between = (from: number, to: number) =>
    assigned.filter(({ place }) => place >= from && place < to).map(({ client }) => client)
  return { canary: between(0, share), control: between(share, 2 * share), others: between(2 * share, 1) }
}
