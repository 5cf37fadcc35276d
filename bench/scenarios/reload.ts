import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { pm2, urlOf, watt } from '../contestants.ts'
import { Load } from '../load/load.ts'
import { fixed, table } from '../report.ts'
import { BenchError, type Context, type Sample, type Scenario } from '../scenario.ts'
import { muster, type Program, type Running, startProgram } from '../servers.ts'

const MIX = { tight: 8, fresh: 4, slow: 8, pipelined: 4, idle: 40 }
const CLIENTS = { mix: MIX, streams: 10, sockets: 20 }
const BOOT_MS = 20_000
/** For one restart of all workers. */
const RESTART_MS = 300_000
/** Between two restarts, so that clients that were cut off work again. */
const PAUSE_MS = 250

interface Way {
  about: string
  /** @param app path of the app; undefined: the one of the scenario `reload` */
  program(workers: number, stopMs: number, app?: string): Omit<Program, 'name'>
  /** Arguments of node for the command that restarts all workers and ends with it; without it, SIGHUP restarts them. */
  command?(server: Running): string[]
}

const rolling = (way: string, about: string): Way => ({
  about,
  program: (_workers, stopMs) => ({ file: './apps/rolling.js', env: { WAY: way, DRAIN_TIMEOUT: String(stopMs) } })
})
const MIXED_APP = urlOf('./apps/mixed-app.js')

/** The ways to replace a worker that are compared. */
export const WAYS: Readonly<Record<string, Way>> = {
  muster: {
    about: 'this service: connections move to another worker; routes of event streams and WebSockets opt in',
    // The log shows when a restart has ended. The routes of the load write no line at this level. No other way judges a release by its
    // traffic: in a second, too little reaches the new release for a verdict. An app that is given may be a bad release.
    program: (_workers, stopMs, app) =>
      muster(
        { LOG_LEVEL: 'info', DRAIN_TIMEOUT: String(stopMs), ...(app === undefined && { CANARY_TIME: '1000' }) },
        app ?? './apps/mixed.js'
      )
  },
  pm2: {
    about: "PM2 in cluster mode, `pm2 reload`; the old worker calls Fastify's `app.close()` on SIGINT",
    program: (workers, stopMs) =>
      pm2(workers, `import { serve } from ${MIXED_APP}\nawait serve()\n`, { kill_timeout: stopMs }),
    command: () => ['node_modules/pm2/bin/pm2', 'reload', 'app']
  },
  watt: {
    about: 'Watt, `wattpm restart`, which replaces one worker thread after the other and closes the app of the old one',
    program: (workers, stopMs) =>
      watt(workers, `export { create } from ${MIXED_APP}\n`, {
        managementApi: true,
        gracefulShutdown: { application: stopMs }
      }),
    command: ({ child }) => ['node_modules/wattpm/bin/cli.js', 'restart', String(child.pid)]
  },
  'server.close': rolling('server.close', "node:cluster; the old worker calls Node's `server.close()`"),
  'worker.disconnect': rolling('worker.disconnect', 'node:cluster; the primary calls `worker.disconnect()`'),
  'fastify.close': rolling('fastify.close', "node:cluster; the old worker calls Fastify's `app.close()`"),
  'fastify.close-no503': rolling('fastify.close-no503', 'the same with `return503OnClosing: false`')
}
const NAMES = Object.keys(WAYS)
const [MAJOR = 0, MINOR = 0] = process.versions.node.split('.').map(Number)
const CAN_RUN_WATT = MAJOR > 22 || (MAJOR === 22 && MINOR >= 19)

export const reload: Scenario = {
  summary:
    'failures and broken connections in rolling restarts: muster, PM2, Watt and node:cluster (Watt needs Node 22.19)',
  defaults: { rounds: 5 },
  names: NAMES,
  options: { timeout: 'seconds that an old worker may take to stop before it is killed (default 3)' },
  async run(context) {
    const samples: Sample[] = []
    const names = context.select(NAMES).filter((name) => name !== 'watt' || CAN_RUN_WATT)
    if (!CAN_RUN_WATT) console.error('watt is left out: it needs Node 22.19 or newer.')
    const stopMs = Number(context.option('timeout') ?? 3) * 1000
    for (const name of names) samples.push(await measureWay(context, name, stopMs))
    const { rounds } = context.settings
    const how = [
      `Each way: ${context.settings.workers} workers, ${rounds} rolling restarts; an old worker that has not left after ${stopMs / 1000} s is killed.`,
      `Clients: ${MIX.tight} tight ones pause 4 ms between requests, ${MIX.idle} idle ones up to 1.5 s; ${MIX.slow} slow ones`,
      `ask for responses that take 50–850 ms, ${MIX.pipelined} pipelined ones send 8 requests at once, half of these bursts in two packets;`,
      `${MIX.fresh} fresh ones open a connection per request. No client repeats a request. ${CLIENTS.streams} read event streams, ${CLIENTS.sockets} send a`,
      'message to a WebSocket every 100 ms; they connect again, and streams continue behind the last event.'
    ]
    const legend = names.map((name) => `- ${name}: ${WAYS[name]!.about}`)
    const report = [how.join('\n'), legend.join('\n'), reloadTable(samples, rounds)].join('\n\n')
    return { samples, report }
  }
}

/** @param rounds how often each way restarted all workers */
export function reloadTable(samples: readonly Sample[], rounds: number): string {
  const perRestart = (times: number) => fixed(times / rounds, 1)
  const lines = samples.map(({ subject, values, failures = {} }) => {
    const kinds = Object.entries(failures).sort(([, a], [, b]) => b - a)
    // The status is enough of a wrong answer.
    const texts = kinds.map(([kind, times]) => `${kind.replace(/ \{.*/s, '')} ${times}`)
    const failed = sum(kinds)
    const codes = Object.entries(values).filter(([name]) => name.startsWith(CODE))
    const byCode = codes.map(([name, times]) => `${name.slice(CODE.length)}: ${perRestart(times)}`).join(', ')
    return [
      subject,
      fixed(values.answered!, 0),
      fixed(failed, 0),
      perRestart(failed),
      fixed(values.reopened!, 0),
      perRestart(values.streamsBroken!),
      `${perRestart(sum(codes))}${byCode && ` (${byCode})`}`,
      fixed(values.missing!, 0),
      fixed(values.p99Ms!, 1),
      fixed(values.restartMs! / 1000, 1),
      texts.join('; ') || '–'
    ]
  })
  const head = ['way', 'answered', 'failed', 'failed per restart', 'reopened', 'streams broken per restart']
  head.push('sockets broken per restart (code)', 'missing', 'p99 ms', 's per restart', 'failures')
  return table(head, lines, ['failures'])
}

/** The name of a sample's value with the number of WebSockets that broke with a close code begins with this. */
const CODE = 'socket '
const sum = (counts: readonly (readonly [string, number])[]) => counts.reduce((total, [, times]) => total + times, 0)

/** Starts server and load, restarts all workers as often as there are rounds, then ends both. */
export async function measureWay({ settings, folder, redis }: Context, name: string, stopMs: number): Promise<Sample> {
  const { workers, rounds } = settings
  const program = { ...WAYS[name]!.program(workers, stopMs), name }
  const redisUrl = name === 'muster' ? (await redis()).url : undefined
  const server = await startProgram(program, { workers, redisUrl, folder })
  const load = new Load()
  try {
    await load.startMixed(server.port, CLIENTS)
    let restartMs = 0
    for (let nth = 1; nth <= rounds; nth++) {
      const begun = performance.now()
      const timeoutMs = workers * (stopMs + BOOT_MS)
      const { command } = WAYS[name]!
      await (command ? run(command(server), program, timeoutMs) : restart(server, nth, timeoutMs))
      restartMs += performance.now() - begun
      console.error(`restart ${nth}/${rounds} ${name}: ${Math.round(performance.now() - begun)} ms`)
      await sleep(PAUSE_MS)
    }
    const { failures, socketsBroken, ...counts } = await load.stopMixed()
    const codes = Object.entries(socketsBroken).map(([code, times]) => [CODE + code, times])
    const values = { ...counts, ...Object.fromEntries(codes), restartMs: restartMs / rounds }
    return { table: 'reload', subject: name, values, failures }
  } finally {
    load.stop()
    await server.stop()
  }
}

/** Restarts all workers of a server. Resolves when they are replaced, or when it is clear that they stay. */
export async function restartCommand(name: string, server: Running, program: Program): Promise<void> {
  const { command } = WAYS[name]!
  if (command) await run(command(server), program, RESTART_MS)
  else server.child.kill('SIGHUP')
}

async function run(args: string[], { name, cwd, env }: Program, timeout: number): Promise<void> {
  const { PATH, HOME } = process.env
  try {
    await promisify(execFile)(process.execPath, args, { cwd, env: { PATH, HOME, ...env }, timeout })
  } catch (error) {
    const { message, stdout = '' } = error as Error & { stdout?: string }
    throw new BenchError(`${name}: a restart failed: ${message}\n${stdout.slice(-2000)}`)
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
