import { connectionEach } from './connect.ts'
import { keepAlive } from './keepalive.ts'
import type { FromLoad, Job, ToLoad } from './load.ts'
import { sessionCookies } from './sessions.ts'
import { keepAliveSpread } from './spread.ts'
import { Tally } from './tally.ts'

let start = async (): Promise<Tally> => {
  throw new Error('Asked to go before it was told what to do.')
}

async function prepare(job: Job): Promise<void> {
  const cookies = job.row === 'session' ? await sessionCookies(job) : []
  start = async () => {
    const tally = new Tally()
    if (job.row === 'connect') await connectionEach(job, tally)
    else if (job.spread) await keepAliveSpread(job, tally)
    else await keepAlive(job, cookies, tally)
    return tally
  }
}

async function answer(message: ToLoad): Promise<FromLoad> {
  if (message.type === 'prepare') {
    await prepare(message.job)
    return { type: 'ready' }
  }
  const begun = performance.now()
  const tally = await start()
  return { type: 'result', result: tally.result((performance.now() - begun) / 1000) }
}

function reply(message: FromLoad): void {
  process.send?.(message)
}

process.on('message', (message: ToLoad) => {
  answer(message).then(reply, (error: Error) => reply({ type: 'failed', why: error.message }))
})
process.on('disconnect', () => process.exit(0))
