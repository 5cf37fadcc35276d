import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Cut } from '../../src/ipc/drain-report.ts'
import { Connection, head } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Line, muster, type Service, startService } from '../helpers/service.ts'
import { EndlessAnswer, SlowUpload } from '../helpers/slow-transfer.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const DRAIN_MS = 2000

async function start(t: TestContext, env: Record<string, string> = {}, workers = 1): Promise<Service> {
  const { url } = await startRedis(t)
  const common = { REDIS_URL: url, APP: fixture('linger'), DRAIN_TIMEOUT: String(DRAIN_MS), REQUEST_TIMEOUT: '600000' }
  return startService(t, { workers, env: { ...common, ...env } })
}

/** Reloads. @returns the line of the worker that lingers since */
async function reloadLingering(service: Service): Promise<Line> {
  const from = service.lines.length
  assert.equal((await service.reload()).msg, 'rollout done')
  return service.line(({ msg }) => msg === 'worker lingers', from)
}

const exitOf = (service: Service, { worker }: Line) =>
  service.line((line) => line.msg === 'worker exited' && line.worker === worker)
const cutsOf = async (service: Service, { worker }: Line) =>
  (await service.line((line) => line.msg === 'connections cut' && line.worker === worker)).cuts as Cut[]

test('an upload and a download of many times DRAIN_TIMEOUT survive a reload that ends before them', async (t) => {
  const service = await start(t)
  const upload = await SlowUpload.begin(t, service.port)
  const download = await EndlessAnswer.begin(t, service.port, '/download')
  const lingering = await reloadLingering(service)
  assert.deepEqual(lingering.counts, { upload: 1, download: 1 })
  await upload.lasts(4 * DRAIN_MS)
  const { bytes } = download
  assert.ok(download.isOpen)
  const { pid, generation } = await upload.complete()
  assert.equal(pid, lingering.worker)
  assert.equal(generation, 1)
  const next = await upload.connection.request('GET', '/who')
  assert.equal(JSON.parse(next.body).generation, 2, 'after its answer, the connection moved to the new worker')
  await until(() => download.bytes > bytes, 'more of the download')
  assert.ok(download.isOpen)
  download.stop()
  assert.equal((await exitOf(service, lingering)).why, 'exit code 0', service.tail())
  assert.deepEqual(
    service.lines.filter(({ msg }) => msg === 'connections cut'),
    []
  )
})

test('a client without progress is cut after DRAIN_TIMEOUT, and the outcome of the reload says so', async (t) => {
  const service = await start(t)
  const upload = await SlowUpload.begin(t, service.port)
  const stuck = await Connection.open(service.port)
  stuck.socket.write(head('GET', '/stuck'))
  await upload.lasts(200)
  const lingering = await reloadLingering(service)
  assert.deepEqual(lingering.counts, { upload: 1, request: 1 })
  await assert.rejects(stuck.expect())
  await upload.complete()
  const cuts = await cutsOf(service, lingering)
  assert.deepEqual(cuts, [{ kind: 'request', reason: 'stalled', count: 1 }])
  const { lastReload } = JSON.parse((await muster(service, 'status', '--json')).stdout).result
  assert.match(
    (await muster(service, 'status')).stdout,
    /last reload: done .*; cut: 1 request \(no byte moved for DRAIN_TIMEOUT\)/s
  )
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  assert.match(metrics, /^cluster_cut_connections_total\{kind="request",worker="primary"\} 1$/m)
  assert.equal(lastReload.connections.cut, 1)
  assert.deepEqual(lastReload.cuts, cuts)
})

test('the output of muster reload, the status and the metrics show what lingering workers wait for', async (t) => {
  const service = await start(t)
  const uploads = [await SlowUpload.begin(t, service.port), await SlowUpload.begin(t, service.port)]
  const download = await EndlessAnswer.begin(t, service.port, '/download')
  const waitsFor = '1 worker lingers: 2 uploads, 1 download, oldest \\d+ s'
  const reload = await muster(service, 'reload')
  assert.equal(reload.code, 0, reload.stderr)
  assert.match(reload.stdout, new RegExp(`^outcome +done\\n(.*\\n)*lingering +${waitsFor}$`, 'm'))
  const status = (await muster(service, 'status')).stdout
  assert.match(status, new RegExp(`^${waitsFor}$`, 'm'))
  assert.match(status, /^0 +\d+ +lingering /m)
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  assert.match(metrics, /^cluster_lingering_workers\{worker="primary"\} 1$/m)
  const { result } = JSON.parse((await muster(service, 'status', '--json')).stdout)
  assert.deepEqual(result.workers[0].waitsFor.counts, { upload: 2, download: 1 })
  download.stop()
  for (const upload of uploads) assert.equal((await upload.complete()).generation, 1)
})

test('an upload that stalls during the drain is cut DRAIN_TIMEOUT later', async (t) => {
  const service = await start(t)
  const upload = await SlowUpload.begin(t, service.port)
  const lingering = await reloadLingering(service)
  await upload.lasts(2 * DRAIN_MS)
  upload.stall()
  await assert.rejects(upload.answer)
  assert.deepEqual(await cutsOf(service, lingering), [{ kind: 'upload', reason: 'stalled', count: 1 }])
  assert.equal((await exitOf(service, lingering)).why, 'exit code 0')
})

test('an event stream of the app that does not end is cut at DRAIN_TIMEOUT', async (t) => {
  const service = await start(t)
  const stream = await EndlessAnswer.begin(t, service.port, '/ticks')
  const lingering = await reloadLingering(service)
  assert.deepEqual(lingering.counts, { stream: 1 })
  await stream.closed
  assert.deepEqual(await cutsOf(service, lingering), [{ kind: 'stream', reason: 'deadline', count: 1 }])
})

test('the first request on a transferred connection may last longer than KEEP_ALIVE_TIMEOUT', async (t) => {
  const service = await start(t, { KEEP_ALIVE_TIMEOUT: '10000' })
  const connection = await Connection.open(service.port)
  t.after(() => connection.close())
  assert.equal(JSON.parse((await connection.request('GET', '/who')).body).generation, 1)
  await service.reload()
  // The connection is kept for 11 s in all when it is idle.
  const late = await connection.request('GET', '/late?ms=11500')
  assert.equal(JSON.parse(late.body).generation, 2)
})

test('three reloads with a request each: every old worker finishes its own', async (t) => {
  const service = await start(t)
  const uploads: SlowUpload[] = []
  for (let i = 0; i < 3; i++) {
    uploads.push(await SlowUpload.begin(t, service.port))
    await reloadLingering(service)
    // Twice as many as workers may linger, so the oldest one must end in time.
    if (i === 1) assert.equal((await uploads.shift()!.complete()).generation, 1)
  }
  const generations = await Promise.all(uploads.map(async (upload) => (await upload.complete()).generation))
  assert.deepEqual(generations, [2, 3])
})

test('of too many lingering workers, the oldest one cuts what it has and exits in order', async (t) => {
  const service = await start(t, { LINGER_MAX_WORKERS: '1' })
  const first = await SlowUpload.begin(t, service.port)
  const oldest = await reloadLingering(service)
  const second = await SlowUpload.begin(t, service.port)
  await reloadLingering(service)
  await assert.rejects(first.answer)
  assert.deepEqual(await cutsOf(service, oldest), [{ kind: 'upload', reason: 'linger-limit', count: 1 }])
  assert.equal((await exitOf(service, oldest)).why, 'exit code 0')
  assert.equal((await second.complete()).generation, 2)
})

test('a request ends at LINGER_TIMEOUT, whatever progress it makes', async (t) => {
  const service = await start(t, { LINGER_TIMEOUT: String(3 * DRAIN_MS) })
  const upload = await SlowUpload.begin(t, service.port)
  const lingering = await reloadLingering(service)
  await assert.rejects(upload.answer)
  assert.deepEqual(await cutsOf(service, lingering), [{ kind: 'upload', reason: 'linger-timeout', count: 1 }])
})

test('SIGTERM gives a lingering worker DRAIN_TIMEOUT: what ends by then is answered, the rest is cut', async (t) => {
  const service = await start(t, { DRAIN_TIMEOUT: '6000', KEEP_ALIVE_TIMEOUT: '500' })
  const short = await SlowUpload.begin(t, service.port)
  const endless = await SlowUpload.begin(t, service.port)
  const lingering = await reloadLingering(service)
  await endless.lasts(7000)
  service.child.kill('SIGTERM')
  await service.line(({ msg }) => msg.startsWith('draining'))
  assert.equal((await short.complete()).generation, 1)
  assert.deepEqual(await service.exited, { code: 0, signal: null })
  await assert.rejects(endless.answer)
  assert.deepEqual(await cutsOf(service, lingering), [{ kind: 'upload', reason: 'deadline', count: 1 }])
  assert.ok(!service.lines.some(({ msg }) => msg === 'worker killed'))
})

test('a crash of a lingering worker is logged and counted, and restarts nothing', async (t) => {
  const service = await start(t)
  const upload = await SlowUpload.begin(t, service.port)
  const lingering = await reloadLingering(service)
  process.kill(lingering.worker!, 'SIGKILL')
  await assert.rejects(upload.answer)
  assert.deepEqual(await cutsOf(service, lingering), [{ kind: 'upload', reason: 'crash', count: 1 }])
  await exitOf(service, lingering)
  const { result } = JSON.parse((await muster(service, 'status', '--json')).stdout)
  assert.deepEqual(
    result.workers.map(({ status, generation }: Line) => ({ status, generation })),
    [{ status: 'ready', generation: 2 }]
  )
  assert.ok(Object.values(result.restarts).every((count) => count === 0))
  assert.equal(result.lastReload.connections.cut, 1)
})
