// Clients on kept and on fresh connections that ask URL all the time. Every failure counts, and no request is sent twice. Prints
// "started" when each had some answers, and a summary at SIGTERM. Exit code 1: a request failed.
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const KEPT = 8
const FRESH = 4
const STARTED_AT = 200
/** Bounds the load, so that a small machine can do the rest too: at most 600 requests a second. */
const PAUSE_MS = 20
const TIMEOUT_MS = 30_000

const failures = {}
const numbers = new Set()
let answered = 0
let opened = 0
let isRunning = true
process.once('SIGTERM', () => {
  isRunning = false
})

const agents = Array.from({ length: KEPT }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
await Promise.all([...agents, ...Array(FRESH).fill(false)].map(client))
for (const agent of agents) agent.destroy()
const failed = Object.values(failures).reduce((sum, count) => sum + count, 0)
console.log(
  `${answered} requests answered, ${failed} failed${failed > 0 ? ` ${JSON.stringify(failures)}` : ''}, ` +
    `${opened - KEPT} kept connections opened again`
)
process.exitCode = failed > 0 ? 1 : 0

async function client(agent) {
  while (isRunning) {
    const failure = await ask(agent)
    if (failure !== undefined) failures[failure] = (failures[failure] ?? 0) + 1
    await sleep(PAUSE_MS)
  }
}

/** Sends one request. Resolves with what went wrong, if anything. */
function ask(agent) {
  return new Promise((resolve) => {
    const request = get(process.env.URL, { agent, timeout: TIMEOUT_MS }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      response.on('error', (error) => resolve(error.code))
      response.on('end', () => resolve(check(response.statusCode, text)))
    })
    request.on('socket', () => {
      if (agent && !request.reusedSocket) opened++
    })
    request.on('timeout', () => request.destroy(Object.assign(new Error(), { code: 'timeout' })))
    request.on('error', (error) => resolve(error.code))
  })
}

/** Every answer has a number of its own. */
function check(status, text) {
  if (status !== 200) return `${status} ${text.slice(0, 100)}`
  const { hits } = JSON.parse(text)
  if (numbers.has(hits)) return 'a number twice'
  numbers.add(hits)
  if (++answered === STARTED_AT) console.log('started')
}
