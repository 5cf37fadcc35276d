import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { Connection, head, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { parseMetrics } from '../helpers/metrics.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'

const RESETS = sizeOf('RESETS', 2000)
const HALF_CLOSED = sizeOf('HALF_CLOSED', 50)
const FLOODS = 10
const PIPELINED = 10_000
/** About as long as a request of a browser: one read of 64 KiB has about 300 of them. */
const FLOOD = head('GET', '/hits', { 'user-agent': 'x'.repeat(150) }).repeat(PIPELINED)
const MIB = 2 ** 20

/** Runs nc, which ends its side of the connection after its input, and returns what it printed. */
function netcat(port: number, input: string, ...args: string[]): Promise<string> {
  const child = spawn('nc', [...args, '127.0.0.1', String(port)], { stdio: ['pipe', 'pipe', 'ignore'] })
  let text = ''
  child.stdout.setEncoding('latin1').on('data', (more: string) => {
    text += more
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', () => resolve(text))
  })
}

function open(t: { after(fn: () => void): void }, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  t.after(() => socket.destroy())
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket)).once('close', () => reject(new Error('refused')))
  })
}

/** The largest resident memory that any worker has had, in bytes. */
function peakMemory(service: Service): number {
  const peaks = [...service.workers().keys()].map((pid) => {
    const [, kib] = /VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kib) * 1024
  })
  return Math.max(...peaks)
}

async function serverErrors(service: Service): Promise<[string, number][]> {
  const { body } = await once(service.port, 'GET', '/metrics')
  return [...parseMetrics(body)].filter(
    ([name, value]) => value > 0 && /^http_request_duration_seconds_count.*status_code="5/.test(name)
  )
}

describe('unusual clients', () => {
  test('clients that reset the connection right after the request cause no error', async (t) => {
    const { url, client } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url } })
    const other = await Connection.open(service.port)
    for (let begun = 0; begun < RESETS; begun += 20) {
      const sockets = await Promise.all(
        Array.from({ length: Math.min(20, RESETS - begun) }, () => open(t, service.port))
      )
      for (const socket of sockets) {
        socket.write(head('POST', '/hits', { 'content-length': '0' }))
        socket.resetAndDestroy()
      }
      assert.equal((await other.request('GET', '/livez')).status, 200)
    }
    const { hits } = JSON.parse((await other.request('POST', '/hits', { 'content-length': '0' })).body)
    assert.ok(hits >= 1 && hits <= RESETS + 1, `${hits} hits`)
    assert.equal(await client.get('muster:hits'), String(hits))
    assert.deepEqual(await serverErrors(service), [])
    other.close()
    assert.equal((await service.stop()).code, 0)
    assert.deepEqual(
      service.lines.filter(({ level }) => Number(level) >= 50),
      []
    )
  })

  test('nc -N, which closes its side after the request, gets the whole response', {
    skip: missing('nc')
  }, async (t) => {
    const { url, client } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url } })
    const { port } = service
    const page = await netcat(port, head('GET', '/metrics'), '-N')
    assert.match(page, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(page, /cluster_workers_desired\{worker="primary"\} 2\n/)
    for (let nth = 1; nth <= HALF_CLOSED; nth++) {
      const counted = await netcat(port, head('POST', '/hits', { 'content-length': '0' }).repeat(2), '-N')
      assert.deepEqual(
        [...counted.matchAll(/\{"hits":(\d+)\}/g)].map(([, hits]) => Number(hits)).sort((a, b) => a - b),
        [2 * nth - 1, 2 * nth]
      )
    }
    assert.equal(await client.get('muster:hits'), String(2 * HALF_CLOSED))
  })

  test('nc -N gets its response also during a reload', { skip: missing('nc') }, async (t) => {
    const { url, client } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow'), CANARY_TIME: '0' } })
    const slow = Array.from({ length: 8 }, (_, id) => netcat(service.port, head('GET', `/slow?ms=3000&id=${id}`), '-N'))
    // The handlers run.
    while (Number(await client.get('slow')) < 8) await once(service.port, 'GET', '/in-flight')
    assert.equal((await service.reload()).msg, 'rollout done')
    for (const [id, text] of (await Promise.all(slow)).entries()) assert.ok(text.endsWith(`{"id":"${id}"}`), text)
  })

  test('clients that pipeline without reading harm no other client', async (t) => {
    const { url } = await startRedis(t)
    const service = await startService(t, { workers: 1, env: { REDIS_URL: url } })
    const { port } = service
    await once(port, 'GET', '/hits')
    const before = peakMemory(service)
    const floods = await Promise.all(Array.from({ length: FLOODS }, () => open(t, port)))
    for (const socket of floods) socket.pause().write(FLOOD)
    const other = await Connection.open(port)
    const took: number[] = []
    for (let nth = 0; nth < 200; nth++) {
      const began = performance.now()
      assert.equal((await other.request('GET', '/livez')).status, 200)
      took.push(performance.now() - began)
    }
    const grown = peakMemory(service) - before
    took.sort((a, b) => a - b)
    t.diagnostic(`p50 ${took[100]!.toFixed(1)} ms, max ${took[199]!.toFixed(1)} ms, +${(grown / MIB).toFixed(0)} MiB`)
    assert.ok(grown < 200 * MIB, `${(grown / MIB).toFixed(0)} MiB more`)
  })
})
