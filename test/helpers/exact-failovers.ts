import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { denied } from './acl.ts'
import { FailoverGroup } from './failovers.ts'
import { once } from './http.ts'
import { parseMetrics } from './metrics.ts'
import { startService } from './service.ts'
import { contradictions, TimedHits } from './timed-hits.ts'
import { until } from './until.ts'

/** Codes of 503s that a hit may get. */
const EXPECTED = /^503 (STATE_UNAVAILABLE|TOO_FEW_REPLICAS)$/

/**
 * Kills the Redis primary again and again while clients hit, and expects that no acknowledged hit is lost, none is counted twice,
 * and every number is higher than those of hits that had ended before.
 */
export async function countThroughFailovers(t: TestContext, failovers: number, replicas: number): Promise<void> {
  const group = await FailoverGroup.start(t, replicas)
  const env = { REDIS_URL: group.url, REDIS_DURABILITY: 'replicas:1', REDIS_TIMEOUT: '1000' }
  const service = await startService(t, { env })
  const hits = new TimedHits(service.port)
  for (let done = 0; done < failovers; done++) {
    await hits.more(200)
    await group.failOver()
    await hits.more(100)
    await group.whole()
  }
  await hits.stop()

  const { numbers, failed, failures } = hits
  let read = Number.NaN
  await until(async () => {
    const { status, body } = await once(service.port, 'GET', '/hits')
    if (status === 200) read = (JSON.parse(body) as { hits: number }).hits
    return status === 200
  }, 'the count')
  const primary = await group.primary()
  const counted = Number(await primary.client.get('muster:hits'))
  const page = parseMetrics((await once(service.port, 'GET', '/metrics')).body)
  const count = (name: string, outcome: string) =>
    [...page]
      .filter(([series]) => series.startsWith(`${name}{`) && series.includes(`outcome="${outcome}"`))
      .reduce((total, [, value]) => total + value, 0)
  const [present, restored] = ['present', 'restored'].map((outcome) => count('redis_replays_total', outcome))
  const [confirmed, unconfirmed] = ['confirmed', 'unconfirmed'].map((outcome) =>
    count('redis_confirmations_total', outcome)
  )
  const unknown = JSON.stringify(Object.fromEntries(failures))
  t.diagnostic(`${failovers} failovers: ${numbers.length} acknowledged, ${counted} counted, unknown: ${unknown}`)
  t.diagnostic(`groups: ${confirmed} confirmed, ${unconfirmed} not; last batches: ${present} present, ${restored} not`)
  assert.deepEqual(contradictions(hits.answers), [])
  assert.equal(read, counted)
  assert.ok(counted >= numbers.length, `${counted} counted: acknowledged hits are lost`)
  assert.ok(counted <= numbers.length + failed, `${counted} counted: hits were counted twice`)
  assert.ok(
    numbers.every((number) => number <= counted),
    'a number is higher than the counter'
  )
  for (const failure of failures.keys()) assert.match(failure, EXPECTED)
  assert.ok(present! + restored! >= failovers, 'workers did not look whether a new primary has their last batches')
  for (const server of group.servers) assert.deepEqual(await denied(server), [])
}
