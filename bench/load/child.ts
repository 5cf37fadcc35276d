import { connectionEach } from './connect.ts'
import { keepAlive } from './keepalive.ts'
import type { FromLoad, Job, ToLoad } from './load.ts'
import { sessionCookies } from './sessions.ts'
import { keepAliveSpread } from './spread.ts'
import { type LoadResult, Tally } from './tally.ts'
import { byWrk, wrkVersion } from './wrk.ts'

/** An address for each connection is what wrk cannot do. */
const hasWrk = wrkVersion() !== undefined

let start = async (): Promise<LoadResult> => {
  throw new Error('Asked to go before it was told what to do.')
}

async function prepare(job: Job): Promise<void> {
  const cookies = job.row === 'session' ? await sessionCookies(job) : []
  start = async () => {
    if (hasWrk && !job.spread) return byWrk(job, cookies)
    const tally = new Tally()
    const begun = performance.now()
    if (job.row === 'connect') await connectionEach(job, tally)
    else if (job.spread) await keepAliveSpread(job, tally)
    else await keepAlive(job, cookies, tally)
    return tally.result((performance.now() - begun) / 1000)
  }
}

async function answer(message: ToLoad): Promise<FromLoad> {
  if (message.type === 'prepare') {
    await prepare(message.job)
    return { type: 'ready' }
  }
  return { type: 'result', result: await start() }
}

function reply(message: FromLoad): void {
  process.send?.(message)
}

process.on('message', (message: ToLoad) => {
  answer(message).then(reply, (error: Error) => reply({ type: 'failed', why: error.message }))
})
process.on('disconnect', () => process.exit(0))
