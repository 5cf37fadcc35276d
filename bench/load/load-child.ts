import { setTimeout as sleep } from 'node:timers/promises'
import { Load as MixedLoad } from '../../test/helpers/load.ts'
import { LastingLoad } from './lasting-load.ts'
import {
  type LoadRequests,
  MIXED_END_MS,
  type MixedClients,
  type MixedResult,
  type RateJob,
  type RateResult
} from './load.ts'
import { balance, hold, openLoad, rawLoad } from './raw-clients.ts'
import { sessionCookies } from './sessions.ts'
import { byWrk, wrkVersion } from './wrk.ts'

const WARM_UP_MS = 1000
/** After this many responses every client of the mixed load has its connection. */
const WARM_RESPONSES = 500
/** The clients end when they are told to, not with a test. */
const endless = { after: () => {} }

const hasWrk = wrkVersion() !== undefined
let go: () => Promise<RateResult> = () => Promise.reject(new Error('go came before prepare'))
let mixed: MixedLoad | undefined
let lasting: LastingLoad | undefined

async function prepare(job: RateJob): Promise<null> {
  const cookies = job.row === 'session' ? await sessionCookies(job) : []
  go = () => {
    if (job.due !== undefined) return openLoad(job, job.due, cookies)
    // wrk cannot choose the address that a connection comes from.
    return hasWrk && !job.spread ? byWrk(job, cookies) : rawLoad(job, cookies)
  }
  return null
}

async function startMixed({ port, clients }: { port: number; clients: MixedClients }): Promise<null> {
  const { mix } = clients
  const warmUp = new MixedLoad(endless, port, mix)
  await sleep(WARM_UP_MS)
  await warmUp.stop()
  mixed = new MixedLoad(endless, port, mix)
  lasting = new LastingLoad(port, clients)
  await Promise.all([mixed.until(WARM_RESPONSES), lasting.connected])
  return null
}

async function stopMixed(): Promise<MixedResult> {
  if (!mixed || !lasting) throw new Error('mixed-stop came before mixed-start')
  const { failures } = mixed
  const ended = await Promise.race([Promise.all([mixed.stop(), lasting.stop()]), sleep(MIXED_END_MS)])
  if (!ended) failures.set('a client: it never ended', 1)
  const { answered, reopened } = mixed
  for (const [kind, times] of lasting.failures) failures.set(kind, times)
  return {
    answered,
    reopened,
    failures: Object.fromEntries(failures),
    p99Ms: mixed.percentile(0.99),
    ...lasting.result
  }
}

type Handlers = { [R in keyof LoadRequests]: (args: LoadRequests[R]['args']) => Promise<LoadRequests[R]['result']> }
const handlers: Handlers = {
  prepare,
  go: () => go(),
  hold,
  balance,
  'mixed-start': startMixed,
  'mixed-stop': stopMixed
}

process.on('message', ({ request, args }: { request: keyof LoadRequests; args: never }) => {
  handlers[request](args).then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.message })
  )
})
process.on('disconnect', () => process.exit(0))
