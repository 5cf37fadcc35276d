import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once as event } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type CpuProfile, categoryOf, frames, selfTimes } from '../../bench/draw/cpu-profile.ts'
import { flameGraph } from '../../bench/draw/flame.ts'
import { ceiling, plot, short } from '../../bench/draw/plot.ts'
import { documentOf, element, label } from '../../bench/draw/svg.ts'
import { rowTitles } from '../../bench/load/load.ts'
import { openLoad } from '../../bench/load/raw-clients.ts'
import { poisson } from '../../bench/random.ts'
import { median, paired, spread } from '../../bench/report.ts'
import { batchesPerSecond } from '../../bench/scenarios/simulate.ts'
import { targetTable } from '../../bench/targets.ts'
import { once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'

const HOSTILE = '<script>"&\'</title>'

test('a median ignores missing numbers, and no numbers have no median', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
  assert.equal(median([Number.NaN, 5, Number.POSITIVE_INFINITY]), 5)
  assert.ok(Number.isNaN(median([])))
})

test('ratios compare values of one round, and skip rounds that lack a value', () => {
  assert.deepEqual(paired([2, 9, 8], [1, Number.NaN, 2]), [2, 4])
  assert.deepEqual(paired([2, 3], [1]), [2])
  assert.equal(spread(paired([2, 4, 3], [1, 1, 1]), 1), '3.0 (2.0–4.0)')
  assert.equal(spread([2, 2], 1), '2.0')
  assert.equal(spread([Number.NaN], 1), '–')
})

test('a target is reached or missed by the median, and values that were not measured are left out', () => {
  const sample = (subject: string, cpu: number, perSecond: number) => ({
    table: rowTitles.hit,
    subject,
    values: { cpu, perSecond }
  })
  const samples = [sample('bare', 10, 100), sample('muster', 10, 50), sample('bare', 10, 100), sample('muster', 11, 40)]
  const lines = targetTable(samples).split('\n').slice(4)
  assert.deepEqual(
    lines
      .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))
      .map(([what, value, , reached]) => [what, value, reached]),
    [
      ['`POST /hits`: CPU, × bare', '1.05 (1.00–1.10) ×', 'yes'],
      ['`POST /hits`: requests/s, × bare', '0.45 (0.40–0.50) ×', 'no']
    ]
  )
})

test('text in a picture cannot become markup', () => {
  const pictures = [
    documentOf(1, 1, HOSTILE, [label(0, 0, HOSTILE), element('rect', { fill: HOSTILE })]),
    plot(HOSTILE, HOSTILE, [HOSTILE], [{ title: HOSTILE, series: { [HOSTILE]: [1] } }]),
    flameGraph(frames(profileOf([[HOSTILE, HOSTILE]])), HOSTILE)
  ]
  for (const picture of pictures) {
    assert.doesNotMatch(picture, /<script>|"&'|<\/title><\/title>/)
    assert.match(picture, /&lt;script&gt;&quot;&amp;/)
  }
})

test('a plot has a line per series, without unmeasured points', () => {
  const svg = plot('title', 'axis', ['1', '2', '4'], [{ title: 'p', series: { a: [1, Number.NaN, 3], b: [2, 2, 2] } }])
  assert.equal(svg.match(/<polyline /g)?.length, 2)
  assert.equal(svg.match(/<circle /g)?.length, 5)
  assert.doesNotMatch(svg, /NaN|Infinity/)
  assert.deepEqual([0, 1, 1.1, 4200, 81].map(ceiling), [1, 1, 2, 5000, 100])
  assert.deepEqual([0, 0.25, 20, 1500, 2e6].map(short), ['0', '0.25', '20', '1.5k', '2M'])
})

test('a profile becomes a tree that merges equal calls and skips idle time', () => {
  const root = frames(profileOf([['work', 'file'], ['work', 'file'], ['(idle)'], ['work'], ['rest']]))
  assert.deepEqual([...root.children.keys()], ['work x.js', 'rest x.js'])
  assert.equal(root.total, 4)
  const work = root.children.get('work x.js')!
  assert.deepEqual([work.self, work.total, work.children.get('file x.js')?.total], [1, 3, 2])
  assert.deepEqual(selfTimes(root, ({ name }) => name)[0], ['file x.js', 2])
})

test('the path of a function names its package', () => {
  const of = (url: string, functionName = 'f') => categoryOf({ functionName, url })
  assert.equal(of('file:///a/node_modules/fastify/lib/reply.js'), 'fastify')
  assert.equal(of('file:///a/node_modules/x/node_modules/@fastify/session/i.js'), '@fastify/session')
  assert.equal(of('file:///a/dist/src/http/build-app.js'), 'muster')
  assert.equal(of('node:_http_server'), 'node: http')
  assert.equal(of('node:net'), 'node: net and streams')
  assert.equal(of('', '(garbage collector)'), 'garbage collection')
})

test('a flame graph is small and labels each frame with its share', () => {
  const deep = Array.from({ length: 400 }, (_, nth) => `level ${nth}`)
  const wide = Array.from({ length: 20_000 }, (_, nth) => ['top', `function number ${nth}`])
  const svg = flameGraph(frames(profileOf([...wide, ...Array.from({ length: 60 }, () => deep)])), 'much')
  assert.ok(svg.length < 100_000, `${svg.length} bytes`)
  assert.match(svg, /<title>top x\.js: 99\.7 %, muster<\/title>/)
  assert.doesNotMatch(flameGraph(frames(profileOf([])), 'nothing'), /NaN|Infinity/)
})

test('batches follow few requests one by one and many requests per round trip', () => {
  assert.equal(batchesPerSecond(0, 0.01), 0)
  assert.ok(Math.abs(batchesPerSecond(1, 0.001) - 1) < 0.01)
  assert.ok(Math.abs(batchesPerSecond(100_000, 0.01) - 100) < 0.01)
  for (const rate of [1, 50, 500, 5000]) {
    const batches = batchesPerSecond(rate, 0.01)
    assert.ok(batches <= rate && batches <= 100, `${batches} at ${rate}`)
  }
})

test('random arrivals have the expected number', () => {
  assert.equal(poisson(0), 0)
  for (const mean of [0.5, 20, 700]) {
    const rounds = 4000
    let sum = 0
    for (let n = 0; n < rounds; n++) sum += poisson(mean)
    // six standard deviations
    assert.ok(Math.abs(sum / rounds - mean) < 6 * Math.sqrt(mean / rounds), `${sum / rounds} for ${mean}`)
  }
})

test('an open load charges a stall to every request that was due meanwhile', async (t) => {
  const stalled = new AbortController()
  const server = createServer(async (_, response) => {
    if (!stalled.signal.aborted) await sleep(900).then(() => stalled.abort())
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await event(server, 'listening')
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const job = { row: 'hit', url, connections: 1, seconds: 1, shared: false } as const
  const { requests, p50Ms, failures } = await openLoad(job, 500, [])
  const due = requests + Object.values(failures).reduce((sum, times) => sum + times, 0)
  assert.ok(due > 300 && due < 700, `${due} requests`)
  // A closed load would have seen one slow response, and none that had to wait.
  assert.ok(p50Ms > 100, `${p50Ms} ms`)
})

test('every scenario of the bench has help and rejects unknown flags and names', async () => {
  const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url))
  const bench = (...args: string[]) => promisify(execFile)(process.execPath, [main, ...args])
  const { stdout } = await bench('--help')
  const names = [...stdout.matchAll(/^(\w+): /gm)].map(([, name]) => name!)
  assert.ok(names.length >= 8, stdout)
  const helps = await Promise.all(names.map((name) => bench(name, '--help')))
  for (const help of helps) assert.match(help.stdout, /--redis/)
  await assert.rejects(bench('growth', '--nonsense'), { code: 1 })
  await assert.rejects(bench('nonsense'), { code: 1 })
})

test('the service without measuring, the base of the overhead, measures no request', async (t) => {
  const { url } = await startRedis(t)
  const preload = new URL('../../bench/apps/unmeasured.js', import.meta.url).href
  const env = { REDIS_URL: url, NODE_OPTIONS: `--import ${preload}` }
  const service = await startService(t, { workers: 1, env })
  assert.equal((await once(service.port, 'POST', '/hits')).status, 200)
  const { body } = await once(service.port, 'GET', '/metrics')
  assert.match(body, /^nodejs_version_info/m)
  assert.doesNotMatch(body, /^http_request_duration_seconds/m)
})

/** A profile with a sample of 1 µs for each stack, outermost first. */
function profileOf(stacks: readonly (readonly string[])[]): CpuProfile {
  type Node = CpuProfile['nodes'][number] & { children: number[] }
  const nodeOf = (id: number, functionName: string, url: string): Node => ({
    id,
    callFrame: { functionName, url, lineNumber: 0 },
    children: []
  })
  const nodes = [nodeOf(0, '(root)', '')]
  const known = new Map<string, number>()
  const samples = stacks.map((stack) => {
    let parent = 0
    let path = ''
    for (const name of stack) {
      path += `\n${name}`
      let id = known.get(path)
      if (id === undefined) {
        id = nodes.length
        nodes.push(nodeOf(id, name, name === '(idle)' ? '' : 'file:///x.js'))
        nodes[parent]!.children.push(id)
        known.set(path, id)
      }
      parent = id
    }
    return parent
  })
  return { nodes, samples, timeDeltas: samples.map(() => 1) }
}
