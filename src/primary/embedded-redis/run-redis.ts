import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { StartupError } from '../../common/errors.ts'
import { syncEverySecond } from './append-only-sync.ts'
import { findRedis, type RedisBinary } from './find-redis.ts'

const BOOT_DEADLINE = 60_000
const STOP_DEADLINE = 10_000
const LEFTOVER_DEADLINE = 30_000
const POLL = 20
const BACKOFF = { first: 100, most: 5_000, forgottenAfter: 10_000 }
/** `sun_path` of unix(7) has 108 bytes, on macOS and the BSDs 104, the last one 0; Redis cuts a longer path without a word. */
const LONGEST_SOCKET_PATH = 103

export interface EmbeddedRedisOptions {
  /** Absolute. The data is in `redis/` (0700), the socket is `redis.sock`. */
  runDir: string
  /** Absolute; where a distribution's package is unpacked. */
  cacheDir: string
  /** Where to search for a server, in the form of the PATH variable. */
  path: string
  log: Logger
  /**
   * When writes are on the disk: once a second (default), or before they are answered. A Redis that is killed loses nothing in
   * either case; a machine that loses power loses what was answered in the last second or two, or nothing.
   */
  fsync?: 'everysec' | 'always'
  /** Told of every server process that starts and ends, so that a watchdog can end it should the primary be killed. */
  onPid: (pid: number, alive: boolean) => void
}

export interface EmbeddedRedis {
  socketPath: string
  /** Resolves when the server has ended, its data on disk: by SIGTERM, after 10 s by SIGKILL. May be called twice. */
  stop(): Promise<void>
}

/**
 * Runs a Redis on a Unix socket (0600, no TCP port) with an append-only file, and starts it again whenever it ends
 * unasked. Resolves when it answers. A server that a killed primary left behind is ended first.
 * @throws StartupError when there is no server to run, or it does not come up within 60 s; its last words are in the message
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const { runDir, log } = options
  const socketPath = join(runDir, 'redis.sock')
  if (Buffer.byteLength(socketPath) > LONGEST_SOCKET_PATH) {
    throw new StartupError(
      `${socketPath} is too long for a Unix socket; set RUN_DIR to a shorter path or set REDIS_URL`
    )
  }
  await mkdir(dataFolder(runDir), { recursive: true, mode: 0o700 })
  const binary = await findRedis(options)
  await endLeftover(socketPath, log)
  const first = launch(binary, options, socketPath)
  await first.ready
  log.info({ file: binary.file, socketPath, redisPid: first.child.pid }, 'embedded Redis is ready')
  const stop = supervise(first, () => launch(binary, options, socketPath), log)
  if (options.fsync === 'always') return { socketPath, stop }
  const stopSync = syncEverySecond(dataFolder(runDir), log)
  return { socketPath, stop: () => stop().finally(stopSync) }
}

interface Server {
  child: ChildProcess
  /** Rejects when the server ended or was ended before it answered. */
  ready: Promise<void>
  /** What it ended with, an exit code or a signal. */
  exited: Promise<string | number>
}

/** Starts the server again whenever it ends, until the function it returns is called. */
function supervise(server: Server, relaunch: () => Server, log: Logger): EmbeddedRedis['stop'] {
  const stopping = new AbortController()
  const { signal } = stopping
  let current = server

  async function keepRunning(): Promise<void> {
    for (let delay = BACKOFF.first; ; delay = Math.min(delay * 2, BACKOFF.most)) {
      const since = Date.now()
      const end = await current.exited
      if (signal.aborted) return
      if (Date.now() - since > BACKOFF.forgottenAfter) delay = BACKOFF.first
      log.error({ end, restartInMs: delay }, 'embedded Redis ended unasked')
      await sleep(delay, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      try {
        current = relaunch()
        await current.ready
        log.info({ redisPid: current.child.pid }, 'embedded Redis is back')
      } catch (err) {
        if (!signal.aborted) log.error({ err }, 'embedded Redis did not come back')
      }
    }
  }

  async function end(): Promise<void> {
    stopping.abort()
    current.child.kill('SIGTERM')
    const late = setTimeout(() => {
      log.warn(`embedded Redis did not end within ${STOP_DEADLINE} ms of SIGTERM: killing it`)
      current.child.kill('SIGKILL')
    }, STOP_DEADLINE)
    await running
    clearTimeout(late)
  }

  const running = keepRunning()
  let stopped: Promise<void> | undefined
  return () => {
    stopped ??= end()
    return stopped
  }
}

const dataFolder = (runDir: string) => join(runDir, 'redis')

function launch({ file, env }: RedisBinary, options: EmbeddedRedisOptions, socketPath: string): Server {
  const { runDir, log, onPid, fsync } = options
  const settings = {
    dir: dataFolder(runDir),
    port: '0',
    unixsocket: socketPath,
    unixsocketperm: '600',
    appendonly: 'yes',
    // Written before it is answered in either case; with "no", this process syncs it: see syncEverySecond.
    appendfsync: fsync === 'always' ? 'always' : 'no',
    save: '',
    'maxmemory-policy': 'volatile-ttl', // the hit counter has no TTL and must never be evicted
    daemonize: 'no'
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  // Detached: a Ctrl-C goes to the whole group of the terminal, and the workers still need Redis while they drain.
  const child = spawn(file, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise<string | number>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? code ?? 'unknown'))
  })
  const { pid } = child
  if (pid !== undefined) {
    onPid(pid, true)
    child.once('exit', () => onPid(pid, false))
  }
  return { child, ready: untilReady(child, exited, relay(child, log), socketPath), exited }
}

/** `1234:M 21 Nov 2026 03:22:11.123 * text`; the sign is the level: `.` debug, `-` verbose, `*` notice, `#` warning. */
const LOG_LINE = /^\d+:\w \d+ \w+ \d+ [\d:.]+ ([-.*#]) (.*)$/
/** Up to Redis 7.0 every start and stop said these at the level of a warning. */
const CHATTER =
  /^(oO0|\S+ version=|Configuration loaded|Server initialized|Received SIG|User requested|.* bye bye|WARNING Memory overcommit)/

/** Passes what the server says to our log, and keeps the last lines for the message of an error. */
function relay(child: ChildProcess, log: Logger): string[] {
  const tail: string[] = []
  for (const input of [child.stdout, child.stderr]) {
    if (!input) continue
    createInterface({ input }).on('line', (line) => {
      const [, sign, text = line] = LOG_LINE.exec(line) ?? []
      if (sign === '#' && !CHATTER.test(text)) log.warn(`redis: ${text}`)
      else log.debug(`redis: ${text}`)
      tail.push(text)
      if (tail.length > 8) tail.shift()
    })
  }
  return tail
}

async function untilReady(child: ChildProcess, exited: Server['exited'], tail: string[], socketPath: string) {
  const closed = new Promise((resolve) => child.once('close', resolve)) // after 'exit': the last line has been read
  const isUp = () => child.exitCode === null && child.signalCode === null
  for (let deadline = Date.now() + BOOT_DEADLINE; isUp() && Date.now() < deadline; await sleep(POLL)) {
    const answer = await ask(socketPath, 'PING', 1_000).catch(() => undefined)
    if (answer === '+PONG') return
    // However long a large file takes, as long as the server says that it is at it.
    if (answer?.startsWith('-LOADING')) deadline = Date.now() + BOOT_DEADLINE
  }
  child.kill('SIGKILL')
  const end = await exited
  await closed
  throw new StartupError(`The embedded Redis did not come up (${end}). It said: ${tail.join(' | ') || 'nothing'}`)
}

/** Two servers would destroy the one append-only file: whoever holds the socket has to let go of it first. */
async function endLeftover(socketPath: string, log: Logger): Promise<void> {
  const deadline = Date.now() + LEFTOVER_DEADLINE
  for (let tries = 0; ; tries++) {
    // NOSAVE is about the snapshot, which we do not use; the append-only file is synced all the same. It is the one form
    // that a server busy with a script accepts too.
    const answer = await ask(socketPath, 'SHUTDOWN NOSAVE', deadline - Date.now()).catch(String)
    if (answer === undefined) break
    if (Date.now() > deadline) throw new StartupError(`A server that does not end holds ${socketPath} (${answer})`)
    if (tries === 0) log.warn({ socketPath }, 'ending a Redis that a killed primary left behind')
    await sleep(POLL)
  }
  await rm(socketPath, { force: true })
}

/**
 * Sends one inline command and resolves with the first line of the answer, '' when the server closes without one, or
 * undefined when there is no server. Rejects when there is no answer within `ms`.
 */
function ask(socketPath: string, command: string, ms: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(socketPath)
    socket.setEncoding('utf8')
    socket.setTimeout(Math.max(ms, 1), () => socket.destroy(new Error(`no answer within ${ms} ms`)))
    socket.on('data', (chunk) => {
      answer += chunk
      if (answer.includes('\n')) socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined)
      else reject(error)
    })
    socket.on('close', () => resolve(answer.split('\r\n', 1)[0] ?? ''))
    socket.write(`${command}\r\n`)
  })
}
