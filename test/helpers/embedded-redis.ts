import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, type TestContext } from 'node:test'
import { pino } from 'pino'
import { type EmbeddedRedisOptions, startEmbeddedRedis } from '../../src/primary/embedded-redis/run-redis.ts'
import { cleanup } from './cleanup.ts'

export const PATH = process.env.PATH ?? ''
/** Every folder that a test makes is in here. */
export const base = await mkdtemp(join(tmpdir(), 'redis-'))
await chmod(base, 0o755)
after(() => rm(base, { recursive: true, force: true }))
export const cacheDir = join(base, 'cache')
export const newFolder = () => mkdtemp(join(base, 'run-'))

interface LogLine {
  level: number
  msg: string
  [key: string]: unknown
}

/** Everything a start is given, and what it tells: the processes alive and the log. Whatever still runs is killed. */
export async function setting(t: TestContext, given: Partial<EmbeddedRedisOptions> = {}) {
  const alive = new Set<number>()
  const started: number[] = []
  const lines: LogLine[] = []
  const said = new EventEmitter().setMaxListeners(0)
  const write = (json: string) => {
    const line = JSON.parse(json) as LogLine
    lines.push(line)
    said.emit(line.msg, line)
  }
  const onPid = (pid: number, isAlive: boolean) => {
    if (isAlive) started.push(pid)
    alive[isAlive ? 'add' : 'delete'](pid)
  }
  cleanup(t, () => {
    for (const pid of alive) process.kill(pid, 'SIGKILL')
  })
  const log = pino({ level: 'debug' }, { write })
  const options = { runDir: await newFolder(), cacheDir, path: PATH, log, onPid, ...given }
  /** The next log line with this text. */
  const logged = async (msg: string): Promise<LogLine> => (await once(said, msg))[0]
  return { options, alive, started, lines, logged }
}

/** An embedded Redis that is up. */
export async function start(t: TestContext, given: Partial<EmbeddedRedisOptions> = {}) {
  const told = await setting(t, given)
  const redis = await startEmbeddedRedis(told.options)
  cleanup(t, () => redis.stop())
  return { ...told, ...redis, pid: () => told.started.at(-1)! }
}

/** The raw answers to inline commands. */
export async function redis(socketPath: string, ...commands: string[]): Promise<string> {
  const socket = connect(socketPath).setEncoding('utf8')
  socket.write([...commands, 'QUIT', ''].join('\r\n'))
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer.slice(0, -'+OK\r\n'.length)
}

/** A primary of its own, as another user if told so: the socket's path is its first line, and it runs until it is killed. */
export function otherPrimary(t: TestContext, { runDir, cacheDir, path }: EmbeddedRedisOptions, uid?: number) {
  const module = new URL('../../src/primary/embedded-redis/run-redis.js', import.meta.url)
  const script = `
    import { pino } from 'pino'
    import { startEmbeddedRedis } from ${JSON.stringify(module)}
    const given = ${JSON.stringify({ runDir, cacheDir, path })}
    const log = pino({ level: 'error' }, pino.destination(2))
    const { socketPath, stop } = await startEmbeddedRedis({ ...given, log, onPid(pid) { console.log(pid) } })
    process.once('SIGTERM', stop)
    console.log(socketPath)`
  const node = [process.execPath, '--input-type=module', '-e', script]
  const user = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
  const [file, ...args] = [...user, ...node]
  const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const output = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async () => String((await output.next()).value)
  const ready = line().then(async (pid) => ({ pid: Number(pid), socketPath: await line() }))
  cleanup(t, async () => {
    child.kill('SIGKILL')
    await ready.then(({ socketPath }) => redis(socketPath, 'SHUTDOWN NOSAVE')).catch(() => undefined)
  })
  return { child, ready }
}
