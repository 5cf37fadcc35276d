import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Load } from '../load/load.ts'
import { fixed, table } from '../report.ts'
import { BenchError, type Context, type Sample, type Scenario } from '../scenario.ts'
import { muster, type Program, type Running, startProgram } from '../servers.ts'

const MIX = { tight: 8, fresh: 4, slow: 8, pipelined: 4, idle: 40, streams: 4 }
const BOOT_MS = 20_000
/** Between two restarts, so that clients that were cut off work again. */
const PAUSE_MS = 250

type Way = Omit<Program, 'name'> & { about: string }
const rolling = (way: string, about: string): Way => ({ file: './apps/rolling.js', env: { WAY: way }, about })

/** The ways to replace a worker that are compared. */
const WAYS: Readonly<Record<string, Way>> = {
  muster: {
    // The log shows when a restart has ended. The routes of the load write no line at this level.
    ...muster({ LOG_LEVEL: 'info' }, './apps/mixed.js'),
    about: 'this service: idle connections are transferred to another worker, busy ones after their last response'
  },
  'server.close': rolling('server.close', "node:cluster; the old worker calls Node's `server.close()`"),
  'worker.disconnect': rolling('worker.disconnect', 'node:cluster; the primary calls `worker.disconnect()`'),
  'fastify.close': rolling('fastify.close', "node:cluster; the old worker calls Fastify's `app.close()`"),
  'fastify.close-no503': rolling('fastify.close-no503', 'the same with `return503OnClosing: false`')
}
const NAMES = Object.keys(WAYS)

export const reload: Scenario = {
  summary: 'failures in rolling restarts under a mixed load: muster and the common ways',
  defaults: { rounds: 5 },
  names: NAMES,
  options: { timeout: 'seconds that an old worker may take to stop before it is killed (default 3)' },
  async run(context) {
    const samples: Sample[] = []
    const names = context.select(NAMES)
    const stopMs = Number(context.option('timeout') ?? 3) * 1000
    for (const name of names) samples.push(await measureWay(context, name, stopMs))
    const { rounds } = context.settings
    const how = [
      `Each way: ${context.settings.workers} workers, ${rounds} rolling restarts; an old worker that has not left after ${stopMs / 1000} s is killed.`,
      `Clients: ${MIX.tight} tight ones send without a pause, ${MIX.idle} idle ones now and then (up to 1.5 s between requests), ${MIX.slow} slow ones`,
      `ask for responses that take 50–850 ms, ${MIX.pipelined} pipelined ones send 8 requests at once, half of these bursts in two packets;`,
      `${MIX.fresh} fresh ones open a connection per request; ${MIX.streams} read event streams. No client repeats a request.`
    ]
    const legend = names.map((name) => `- ${name}: ${WAYS[name]!.about}`)
    const head = ['way', 'answered', 'failed', 'failed per restart', 'reopened', 'p99 ms', 's per restart', 'failures']
    const lines = samples.map(({ subject, values, failures = {} }) => {
      const failed = Object.values(failures).reduce((sum, times) => sum + times, 0)
      const kinds = Object.entries(failures).sort(([, a], [, b]) => b - a)
      return [
        subject,
        fixed(values.answered!, 0),
        fixed(failed, 0),
        fixed(failed / rounds, 1),
        fixed(values.reopened!, 0),
        fixed(values.p99Ms!, 1),
        fixed(values.restartMs! / 1000, 1),
        kinds.map(([kind, times]) => `${kind} ${times}`).join('; ') || '–'
      ]
    })
    return { samples, report: [how.join('\n'), legend.join('\n'), table(head, lines, ['failures'])].join('\n\n') }
  }
}

/** Starts server and load, restarts all workers several times, then ends both. */
async function measureWay({ settings, folder, redis }: Context, name: string, stopMs: number): Promise<Sample> {
  const { file, env } = WAYS[name]!
  const redisUrl = name === 'muster' ? (await redis()).url : undefined
  const program = { name, file, env: { ...env, DRAIN_TIMEOUT: String(stopMs) } }
  const server = await startProgram(program, { workers: settings.workers, redisUrl, folder })
  const load = new Load()
  try {
    await load.startMixed(server.port, MIX)
    let restartMs = 0
    for (let nth = 1; nth <= settings.rounds; nth++) {
      const begun = performance.now()
      await restart(server, nth, settings.workers * (stopMs + BOOT_MS))
      restartMs += performance.now() - begun
      console.error(`restart ${nth}/${settings.rounds} ${name}: ${Math.round(performance.now() - begun)} ms`)
      await sleep(PAUSE_MS)
    }
    const { failures, ...values } = await load.stopMixed()
    return { table: 'reload', subject: name, values: { ...values, restartMs: restartMs / settings.rounds }, failures }
  } finally {
    load.stop()
    await server.stop()
  }
}

/** Replaces every worker; resolves when the log says for the nth time that all are replaced. */
async function restart({ name, child, log }: Running, nth: number, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs
  child.kill('SIGHUP')
  while (child.exitCode === null && child.signalCode === null && performance.now() < end) {
    await sleep(20)
    const outcomes = [
      ...readFileSync(log, 'utf8').matchAll(/(?:rollout|rolling restart|reload) (done|failed|stopped)/g)
    ]
    const outcome = outcomes[nth - 1]?.[1]
    if (outcome === 'done') return
    if (outcome !== undefined) break
  }
  const output = readFileSync(log, 'utf8').slice(-2000)
  throw new BenchError(`${name}: a rolling restart did not complete. The end of its output:\n${output}`)
}
