import { setTimeout as sleep } from 'node:timers/promises'
import { Load, type Mix } from '../../test/helpers/load.ts'
import { endMs, type FromMixed, type MixedResult, type ToMixed } from './mixed.ts'

const warmUpMs = 1000
/** With so many answers every client has its connection. */
const enough = 500
/** No test ends these clients: they end when they are told to. */
const nobody = { after: () => {} }

let load: Load | undefined

async function start(port: number, mix: Mix): Promise<void> {
  const warmUp = new Load(nobody, port, mix)
  await sleep(warmUpMs)
  await warmUp.stop()
  load = new Load(nobody, port, mix)
  await load.until(enough)
}

async function stop(): Promise<MixedResult> {
  if (!load) throw new Error('Asked to stop before it was told to start.')
  const { failures } = load
  const ended = await Promise.race([load.stop(), sleep(endMs)])
  if (!ended) failures.set('some client: it never came to an end', 1)
  const { answered, reopened } = load
  return { answered, reopened, failures: Object.fromEntries(failures), p99Ms: load.percentile(0.99) }
}

async function answer(message: ToMixed): Promise<FromMixed> {
  if (message.type === 'stop') return { type: 'result', result: await stop() }
  await start(message.port, message.mix)
  return { type: 'running' }
}

function reply(message: FromMixed): void {
  process.send?.(message)
}

process.on('message', (message: ToMixed) => {
  answer(message).then(reply, (error: Error) => reply({ type: 'failed', why: error.message }))
})
process.on('disconnect', () => process.exit(0))
