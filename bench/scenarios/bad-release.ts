import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fixed, table } from '../report.ts'
import type { Context, Sample, Scenario } from '../scenario.ts'
import { startProgram } from '../servers.ts'
import { restartCommand, WAYS } from './reload.ts'

/** A release answers this share of its requests with 500. */
const SHARE = 0.2
const STOP_MS = 3000
const CLIENTS = 32
const PAUSE_MS = 20
/** A request without an answer is given up. */
const TIMEOUT_MS = 5000
/** A client opens a new connection after this number of requests. */
const REQUESTS_PER_CONNECTION = 10
/** The last part of the window shows what clients see when the deploy is over. */
const LAST_MS = 5000
const NAMES = ['muster', 'pm2', 'watt', 'fastify.close'] as const

export const badRelease: Scenario = {
  summary: `answers with 500 after the deploy of a release that fails ${SHARE * 100} % of its requests`,
  defaults: { seconds: 45, rounds: 1 },
  names: NAMES,
  async run(context) {
    const samples: Sample[] = []
    for (const name of context.select(NAMES)) {
      for (let round = 0; round < context.settings.rounds; round++) samples.push(await measure(context, name, round))
    }
    const how = `${CLIENTS} clients with a pause of ${PAUSE_MS} ms open a connection for every ${REQUESTS_PER_CONNECTION} requests. Each way replaces two workers of a good release by those of the bad one, and no operator intervenes. Counted are the ${context.settings.seconds} s that begin with the deploy; the last column is about the last ${LAST_MS / 1000} s.`
    const rows = samples.map(({ subject, values: { answered, failed, failedLast } }) => [
      subject,
      fixed(answered!, 0),
      fixed(failed!, 0),
      `${fixed((100 * failed!) / answered!, 2)} %`,
      `${fixed(100 * failedLast!, 1)} %`
    ])
    const head = ['way', 'answers', 'answers with 500', 'share', 'share at the end']
    return { samples, report: [how, table(head, rows, [])].join('\n\n') }
  }
}

async function measure({ settings, folder, redis }: Context, name: string, round: number): Promise<Sample> {
  const app = join(folder, `bad-release-${name}-${round}`, 'app.mjs')
  writeRelease(app, '1.0.0', 0)
  const { workers, seconds } = settings
  const way = WAYS[name]!.program(workers, STOP_MS, app)
  const program = { ...way, name, env: { ...way.env, BENCH_APP: app } }
  const server = await startProgram(program, {
    workers,
    redisUrl: name === 'muster' ? (await redis()).url : undefined,
    folder
  })
  const clients = new Clients(server.port)
  try {
    await sleep(2000)
    writeRelease(app, '1.1.0', SHARE)
    clients.reset()
    const deploy = restartCommand(name, server, program)
    await sleep(seconds * 1000 - LAST_MS)
    const early = clients.reset()
    await sleep(LAST_MS)
    const late = clients.reset()
    await deploy
    const values = {
      answered: early.answered + late.answered,
      failed: early.failed + late.failed,
      failedLast: late.failed / late.answered
    }
    console.error(`${name}: ${values.failed} of ${values.answered} answers failed`)
    return { table: 'bad release', subject: name, values }
  } finally {
    await clients.stop()
    await server.stop()
  }
}

function writeRelease(app: string, version: string, share: number): void {
  mkdirSync(join(app, '..'), { recursive: true })
  writeFileSync(join(app, '..', 'package.json'), JSON.stringify({ name: 'release', version, type: 'module' }))
  writeFileSync(
    app,
    `export default async function (app) {
  app.get('/echo', { config: { session: false, quiet: true } }, async () => {
    if (Math.random() < ${share}) throw new Error('a bad release')
    return { ok: true }
  })
}
`
  )
}

/** Clients that count answers and those with 500. Broken connections are counted by the scenario reload. */
class Clients {
  #counts = { answered: 0, failed: 0 }
  #stopping = false
  readonly #port: number
  readonly #running: Promise<unknown>

  constructor(port: number) {
    this.#port = port
    this.#running = Promise.all(Array.from({ length: CLIENTS }, () => this.#run()))
  }

  /** @returns the counts since the previous call */
  reset(): { answered: number; failed: number } {
    const counts = this.#counts
    this.#counts = { answered: 0, failed: 0 }
    return counts
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      for (let nth = 0; nth < REQUESTS_PER_CONNECTION && !this.#stopping; nth++) {
        const status = await this.#ask(agent)
        if (status !== undefined) this.#counts.answered++
        if (status === 500) this.#counts.failed++
        await sleep(PAUSE_MS)
      }
      agent.destroy()
    }
  }

  /** @returns the status; undefined when the connection broke */
  #ask(agent: Agent): Promise<number | undefined> {
    return new Promise((resolve) => {
      const request = get({ host: '127.0.0.1', port: this.#port, path: '/echo', agent }, (response) => {
        response.resume().on('close', () => resolve(response.statusCode))
      })
      request.setTimeout(TIMEOUT_MS, () => request.destroy())
      request.on('error', () => resolve(undefined))
    })
  }
}
