import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const WATCHERS = 500
const FRAMES = 4
/** Most windows in which the cost is measured: programs on the same cores make the same work take more CPU time. */
const WINDOWS = 5

/** A stream as a page reads it, of which nothing is kept but what matters here. */
async function watch(service: Service) {
  const request = get(`${service.url}/events`, { agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const stream = { frames: 0, ended: false, fault: undefined as Error | undefined }
  response.setEncoding('utf8').on('data', (text: string) => {
    stream.frames += text.includes('data: {') ? 1 : 0
  })
  response.on('end', () => {
    stream.ended = true
  })
  response.on('error', (error) => {
    stream.fault = error
  })
  return stream
}

/** CPU time of a process until now, in ms. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

timed('500 watchers cost under 5 % of a core more than one, and a reload keeps all of them', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
  const [worker] = [...service.workers().keys()]
  const streams = [await watch(service)]
  const cost = async () => {
    const started = performance.now()
    const [cpu, frames] = [cpuOf(worker!), streams.map((stream) => stream.frames)]
    await until(() => streams.every((stream, i) => stream.frames >= frames[i]! + FRAMES), `${FRAMES} frames for all`)
    return ((cpuOf(worker!) - cpu) / (performance.now() - started)) * 100
  }
  const ofOne = await cost()
  for (let i = 1; i < WATCHERS; i++) streams.push(await watch(service))
  const ofAll: number[] = []
  while (ofAll.length < WINDOWS && !(Math.min(...ofAll) - ofOne < 5)) ofAll.push(await cost())
  t.diagnostic(`of one: ${ofOne.toFixed(1)} % of a core, of ${WATCHERS}: ${ofAll.map((share) => share.toFixed(1))} %`)
  assert.ok(Math.min(...ofAll) - ofOne < 5, `${ofOne} % of one, ${ofAll} % of ${WATCHERS}`)

  assert.equal((await service.reload()).outcome, 'done')
  const frames = streams.map((stream) => stream.frames)
  await until(() => streams.every((stream, i) => stream.frames > frames[i]!), 'a frame of the next worker for all')
  assert.equal(streams.filter(({ ended, fault }) => ended || fault).length, 0)
})
