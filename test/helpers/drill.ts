import assert from 'node:assert/strict'
import type { Judged, Verdict } from '../../src/drill/judgement/verdict.ts'
import type { Observations } from '../../src/drill/observations.ts'
import { muster, type Service } from './service.ts'

export interface DrillResult {
  code: number | null
  ok: boolean
  promises: Judged[]
  observations: Observations
  stderr: string
}

/** Runs `muster drill --json` against a service. */
export async function runDrill(service: Pick<Service, 'runDir'>, ...args: string[]): Promise<DrillResult> {
  const { code, stdout, stderr } = await muster(service, 'drill', '--json', ...args)
  assert.ok(stdout.startsWith('{'), `${stdout}\n${stderr}`)
  return { ...(JSON.parse(stdout) as Omit<DrillResult, 'code' | 'stderr'>), code, stderr }
}

/** The numbers of the promises with a verdict. */
export const promisesThat = (verdict: Verdict, { promises }: DrillResult): number[] =>
  promises.filter((one) => one.verdict === verdict).map(({ promise }) => promise)

/** What to read when the outcome of a drill is another one. */
export const explain = ({ promises, observations }: DrillResult): string =>
  promises.map(({ promise, verdict, text }) => `${promise} ${verdict}: ${text}`).join('\n') +
  `\n${JSON.stringify(observations.differences)}\n${JSON.stringify(observations.steps, undefined, 1)}`
