import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { TrialReport } from '../../src/verdict/trial-report.ts'
import { Deploys } from './releases.ts'
import { muster, startService } from './service.ts'
import { Visitors } from './visitors.ts'

/** Two routes that answer after 20 and 100 ms and keep nothing. Waiting costs no CPU, so a busy machine disturbs it little. */
const OPTIONS = '{ config: { session: false } }'
const WAIT = 'const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))'
const GOOD_LIST = `app.get('/list', ${OPTIONS}, async () => (await wait(20), {}))`
const GOOD_ITEM = `app.get('/item', ${OPTIONS}, async () => (await wait(100), {}))`
const item = (work: string) => `app.get('/item', ${OPTIONS}, async (request, reply) => { ${work}; return {} })`

/** What the routes of a release do. */
export const RELEASES = {
  good: `${WAIT}; ${GOOD_LIST}; ${GOOD_ITEM}`,
  'answers 2 % errors': `${WAIT}; ${GOOD_LIST}; ${item('await wait(100); if (Math.random() < 0.04) reply.code(500)')}`,
  'is 30 % slower on one route': `${WAIT}; ${GOOD_LIST}; ${item('await wait(130)')}`,
  leaks: `${WAIT}; const kept = []; ${GOOD_LIST}; ${item('await wait(100); kept.push(Buffer.alloc(2 ** 20, 1))')}`,
  // Atomics.wait holds the thread and uses no CPU.
  'blocks the loop occasionally': `${WAIT}; const cell = new Int32Array(new SharedArrayBuffer(4)); ${GOOD_LIST}; ${item('await wait(100); if (Math.random() < 0.1) Atomics.wait(cell, 0, 0, 300)')}`
} as const

export interface TrialOptions {
  workers: number
  /** Clients that open a connection for each request. */
  clients: number
  /** Arguments of `muster reload`. */
  reload: string[]
}

export interface TrialResult {
  code: number | null
  outcome: string
  why: string
  trial: TrialReport
  /** The share of all requests that the canary answered. */
  exposed: number
  requests: number
}

/** Reloads from the good release to another one under load. No connection may be lost, whatever the outcome. */
export async function tryRelease(
  t: TestContext,
  name: keyof typeof RELEASES,
  { workers, clients, reload }: TrialOptions
): Promise<TrialResult> {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0', RELEASES.good)
  const service = await startService(t, { env: { REDIS: 'off', APP: deploys.app, CANARY_TIME: '30000' }, workers })
  const before = [...service.workers().keys()]
  const visitors = new Visitors(t, service.port, { fresh: clients, kept: 10, paths: ['/list', '/item'] })
  deploys.deploy(name.replaceAll(/[ %]+/g, '-'), `${RELEASES[name]}; // another release`)
  const { code, stdout } = await muster(service, 'reload', ...reload, '--json')
  await visitors.stop()
  const { result } = JSON.parse(stdout) as { result: { outcome: string; why?: string; trial: TrialReport } }
  const { outcome, trial, why = trial.why } = result
  t.diagnostic(`${outcome} after ${trial.seconds} s, ${trial.canary.requests} of ${visitors.total} requests: ${why}`)
  assert.deepEqual([...visitors.lost], [], 'no connection is lost')
  const stayed = [...service.workers().keys()].filter((pid) => before.includes(pid)).length
  assert.equal(stayed, outcome === 'failed' ? workers : 0, `${stayed} old workers stayed`)
  return { code, outcome, why, trial, exposed: visitors.errors / visitors.total, requests: visitors.total }
}
