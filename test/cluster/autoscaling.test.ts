import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServiceStatus } from '../../src/admin/command-context.ts'
import type { JournalEntry } from '../../src/admin/journal-file.ts'
import { fixture } from '../helpers/load.ts'
import { type Line, muster, type Service, startService } from '../helpers/service.ts'
import { ThinkingClients } from '../helpers/thinking-clients.ts'
import { startLimitMs, timed, unhinderedMs } from '../helpers/timed.ts'
import '../helpers/takes-long.ts'

const env = {
  REDIS: 'off',
  APP: fixture('blocking'),
  KEEP_ALIVE_TIMEOUT: '120000',
  BOOT_TIMEOUT: '120000',
  REBALANCE: 'on',
  SCALE_DOWN_TIME: '2000'
}
/** 60 clients that ask for 20 ms and think for 380 ms keep three event loops busy: 300 %. */
const CLIENTS = 60
const BLOCK_MS = 20
const THINK_MS = 380
/** The target: 99 of 100 requests wait for at most so many others. Of two workers, every request waits for eleven or more. */
const TARGET = 9
/** The best of so many steps counts at most: the machine may stall during one. */
const MAX_STEPS = 3

const isScaled = ({ msg }: Line) => msg === 'workers scaled'
const resultOf = async <T>(service: Service, ...args: string[]): Promise<T> =>
  JSON.parse((await muster(service, ...args, '--json')).stdout).result

timed('a step to 300 % is served by four workers at once, and later by two, without a failed request', async (t) => {
  const limit = startLimitMs(2000)
  const service = await startService(t, { env: { ...env, WORKERS: '2..4' } })
  const clients = await ThinkingClients.open(t, service.port, CLIENTS, BLOCK_MS)
  const all = clients.connections.map((_, id) => id)
  const { answers } = clients

  /** Leaves three per cent of the load, and waits until it is served by two workers. */
  const shrink = async () => {
    const from = service.lines.length
    await clients.activate(all.slice(0, 2), THINK_MS)
    await service.line((line) => isScaled(line) && line.to === 2, from)
    await service.until(() => service.workers().size === 2, 'two workers')
  }
  /** Raises the load. @returns when the later of two new workers answered after its fork, in ms */
  const stepUp = async () => {
    const since = service.lines.length
    await clients.activate(all, THINK_MS)
    const delays = [2, 3].map(async (slot) => {
      await service.line((line) => line.msg === 'worker started' && line.slot === slot, since)
      const [forkedAt, from] = [unhinderedMs(), answers.length]
      await clients.until(() => answers.slice(from).some((answer) => answer.slot === slot))
      return unhinderedMs() - forkedAt
    })
    return Math.max(...(await Promise.all(delays)))
  }

  await clients.activate(all.slice(0, 2), THINK_MS)
  await clients.until(() => answers.length >= 10)

  const steps = [await stepUp()]
  while (Math.min(...steps) > limit && steps.length < MAX_STEPS) {
    await shrink()
    steps.push(await stepUp())
  }
  t.diagnostic(`new workers answered ${steps.map(Math.round).join(', ')} ms after their fork, of ${Math.round(limit)}`)
  assert.ok(Math.min(...steps) <= limit, `new workers answered ${steps} ms after their fork, of ${limit}`)
  const settledAt = answers.length
  const last = () => answers.slice(settledAt).slice(-100)
  await clients.until(() => last().filter(({ behind }) => behind <= TARGET).length >= 99)
  t.diagnostic(`on target after ${answers.length - settledAt} requests`)
  const before = answers.slice(0, settledAt).slice(-100)
  t.diagnostic(`before: a request waited for up to ${Math.max(...before.map(({ behind }) => behind))} others`)

  await shrink()
  await clients.activate([], 0)
  await clients.askAll()
  assert.deepEqual([...clients.failures], [])
  assert.ok(clients.connections.every((connection) => !connection.ended))

  const journal = await resultOf<JournalEntry[]>(service, 'why')
  const reasons = journal.filter(({ event }) => event === 'scales').map(({ why }) => why)
  assert.match(reasons[0]!, /^load [\d.]+/)
  assert.match(reasons.at(-1)!, /^load at most [\d.]+ for 2 s$/)
  const forks = journal.filter(({ event, slot }) => event === 'starts' && slot! >= 2).map(({ why }) => why)
  assert.ok(forks.length >= 2 && forks.every((why) => why!.startsWith('scaled up: load')), forks.join('\n'))
})

test('an operator fixes the number of workers, gives a range, and goes back to the range of WORKERS', async (t) => {
  const service = await startService(t, { env: { ...env, WORKERS: '1..2' }, workers: 1 })
  const status = () => resultOf<ServiceStatus>(service, 'status')
  const scaling = async () => {
    const { desired, autoscaling } = await status()
    return [desired, autoscaling?.range]
  }
  assert.deepEqual(await scaling(), [1, '1..2'])
  assert.deepEqual(await resultOf(service, 'scale', '2'), { workers: 2 })
  assert.deepEqual(await scaling(), [2, null])
  service.child.kill('SIGTTOU')
  await service.until(() => service.workers().size === 1, 'one worker')
  assert.deepEqual(await scaling(), [1, null])
  assert.deepEqual(await resultOf(service, 'scale', '2..3'), { workers: 2, range: '2..3' })
  assert.deepEqual(await scaling(), [2, '2..3'])
  await resultOf(service, 'scale', 'auto')
  assert.equal((await scaling())[1], '1..2')
  const { code, stderr } = await muster(service, 'scale', '8..2')
  assert.equal(code, 1)
  assert.match(stderr, /workers: "8\.\.2": a range begins with its smaller number: write 2\.\.8/)
  for (const msg of ['autoscaling off', 'autoscaling on'])
    assert.ok(
      service.lines.some((line) => line.msg === msg),
      msg
    )
})
