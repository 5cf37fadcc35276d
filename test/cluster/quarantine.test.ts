import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { dieUntilRefused, evidence, InnocentLoad } from '../helpers/deadly-requests.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { type Line, muster, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const INNOCENT = ['/busy/a', '/busy/a', '/busy/b', '/busy/c', '/busy/d', '/items/7', '/quick']
const WORKERS = 3

interface Case {
  method: string
  pathOf: (i: number) => string
  /** The name of the quarantine. */
  route: string
}

async function start(t: TestContext, paths = INNOCENT): Promise<{ service: Service; load: InnocentLoad }> {
  const env = { REDIS: 'off', APP: fixture('deadly'), RESTART_BACKOFF: '200', HEARTBEAT_TIMEOUT: '2000' }
  const service = await startService(t, { env: { ...env, QUARANTINE_TIME: '600000' }, workers: WORKERS })
  return { service, load: new InnocentLoad(t, service.port, paths) }
}

/** Ends workers by one route after the other, under load, and checks that only these are refused. */
async function findAll(t: TestContext, cases: Case[]): Promise<Service> {
  const { service, load } = await start(t)
  // Enough samples of what is usually in flight.
  await load.more(500)
  for (const { method, pathOf, route } of cases) {
    const { refusal, deaths } = await dieUntilRefused(service, method, pathOf)
    t.diagnostic(`${route} ended ${deaths} workers`)
    assert.ok(Number(refusal.headers['retry-after']) > 500)
    const line = await service.line((entry) => entry.msg === 'route quarantined' && entry.route === route)
    assert.match(String(line.why), /^in flight at \d deaths of workers/)
    await service.until(() => service.workers().size >= WORKERS)
  }
  const found = service.lines.filter(({ msg }) => msg === 'route quarantined').map(({ route }) => route)
  assert.deepEqual(
    found,
    cases.map(({ route }) => route)
  )
  // Requests that were in flight at the last death have failed by now.
  await load.more(50)
  load.failed = []
  for (const { method, pathOf } of cases) assert.equal((await once(service.port, method, pathOf(9))).status, 503)
  await load.more(300)
  if (load.failed.length > 0) {
    assert.fail(`requests of other routes were not answered:\n${load.failed.join('\n')}\n${await evidence(service)}`)
  }
  return service
}

test('routes that throw outside of a handler or exit are quarantined within five deaths, and all others are served', async (t) => {
  const service = await findAll(t, [
    { method: 'POST', pathOf: () => '/throws?token=secret', route: 'POST /throws' },
    { method: 'GET', pathOf: () => '/exits', route: 'GET /exits' },
    { method: 'GET', pathOf: () => '/items/broken', route: 'GET /items/broken' }
  ])
  assert.equal((await once(service.port, 'GET', '/items/whole')).status, 200)
  const { stdout } = await muster(service, 'status')
  assert.match(stdout, /POST \/throws/)
  const journal = await muster(service, 'journal', '--json')
  assert.match(journal.stdout, /"quarantined"/)
  assert.doesNotMatch(`${journal.stdout}${JSON.stringify(service.lines)}`, /secret/)
})

test('routes that abort or loop for ever are quarantined within five deaths, and all others are served', async (t) => {
  const service = await findAll(t, [
    { method: 'GET', pathOf: () => '/aborts', route: 'GET /aborts' },
    { method: 'GET', pathOf: (i) => `/loops/${i}`, route: 'GET /loops/:id' }
  ])
  assert.ok(service.lines.some(({ msg }) => msg === 'tracing requests: a worker died without a report'))
})

test('a route that computes is not quarantined, although it is in flight when workers are killed from outside', async (t) => {
  const { service, load } = await start(t, Array<string>(8).fill('/computes'))
  await load.more(200)
  const count = (isCounted: (line: Line) => boolean) => service.lines.filter(isCounted).length
  const isWrong = ({ msg }: Line) => msg === 'route quarantined'
  const isInFlight = ({ msg, requests }: Line) =>
    msg === 'requests in flight at a death' && (requests as unknown[]).length > 0
  let deaths = 0
  while (count(isInFlight) < 5 && count(isWrong) === 0) {
    assert.ok(deaths++ < 40, `in flight at ${count(isInFlight)} of 40 deaths`)
    const from = service.lines.length
    const [pid] = service.workers().keys()
    process.kill(pid!, 'SIGKILL')
    await service.line(({ msg }) => msg === 'worker ready', from)
  }
  if (count(isWrong) > 0) assert.fail(await evidence(service))
  t.diagnostic(`in flight at ${count(isInFlight)} of ${deaths} deaths`)
})
