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

const BOOT_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 10_000
const LEFTOVER_TIMEOUT_MS = 30_000
const POLL_MS = 20
/** Pauses before restarts. A server that ran for `stableMs` starts again with the first pause. */
const BACKOFF = { firstMs: 100, maxMs: 5_000, stableMs: 10_000 }
/** `sun_path` of unix(7) has 108 bytes, on macOS and the BSDs 104, and ends with 0. Redis truncates a longer path silently. */
const MAX_SOCKET_PATH_BYTES = 103

export interface EmbeddedRedisOptions {
  /** Absolute path. The data is in its folder `redis` (0700), the socket is `redis.sock`. */
  runDir: string
  /** Absolute path. A distribution's package is unpacked there. */
  cacheDir: string
  /** Folders to search for a server, in the form of the PATH variable. */
  path: string
  log: Logger
  /**
   * When writes are synced to the disk: once a second (default), or before they are acknowledged. A killed Redis loses nothing
   * in either case. A power failure costs the writes of the last second or two, or nothing.
   */
  fsync?: 'everysec' | 'always'
  /** Called when a server process starts and when it has ended, so that the orphan reaper can stop it after a killed primary. */
  onPid: (pid: number, alive: boolean) => void
}

export interface EmbeddedRedis {
  /** The family and the version of the server, such as `Redis 7.0`. */
  product: string
  socketPath: string
  /** Stops the server by SIGTERM, after 10 s by SIGKILL. Resolves when it has ended and its data is on disk. May be called twice. */
  stop(): Promise<void>
}

/**
 * Runs a Redis on a Unix socket (0600, no TCP port) with an append-only file, and restarts it whenever it exits unexpectedly.
 * Resolves when it answers. A server that a killed primary left behind is stopped first.
 * @throws StartupError when there is no server to run, or it does not answer within 60 s; the message has its last output
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const { runDir, log } = options
  const socketPath = join(runDir, 'redis.sock')
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    throw new StartupError(
      `${socketPath} is too long for a Unix socket; set RUN_DIR to a shorter path or set REDIS_URL`
    )
  }
  await mkdir(dataFolder(runDir), { recursive: true, mode: 0o700 })
  const binary = await findRedis(options)
  await endLeftover(socketPath, log)
  const first = launch(binary, options, socketPath)
  await first.ready
  log.info({ file: binary.file, socketPath, redisPid: first.child.pid }, 'embedded Redis ready')
  const stop = supervise(first, () => launch(binary, options, socketPath), log)
  if (options.fsync === 'always') return { socketPath, product: binary.product, stop }
  const stopSync = syncEverySecond(dataFolder(runDir), log)
  return { socketPath, product: binary.product, stop: () => stop().finally(stopSync) }
}

interface Server {
  child: ChildProcess
  /** Rejects when the server ended or was ended before it answered. */
  ready: Promise<void>
  /** Resolves with the exit code, the signal, or the error with which the server ended. */
  exited: Promise<string | number>
}

/** Restarts the server whenever it ends. @returns a function that stops it */
function supervise(server: Server, relaunch: () => Server, log: Logger): EmbeddedRedis['stop'] {
  const stopping = new AbortController()
  const { signal } = stopping
  let current = server

  async function keepRunning(): Promise<void> {
    for (let delay = BACKOFF.firstMs; ; delay = Math.min(delay * 2, BACKOFF.maxMs)) {
      const since = Date.now()
      const end = await current.exited
      if (signal.aborted) return
      if (Date.now() - since > BACKOFF.stableMs) delay = BACKOFF.firstMs
      log.error({ end, restartInMs: delay }, 'embedded Redis exited')
      await sleep(delay, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      try {
        current = relaunch()
        await current.ready
        log.info({ redisPid: current.child.pid }, 'embedded Redis restarted')
      } catch (err) {
        if (!signal.aborted) log.error({ err }, 'embedded Redis restart failed')
      }
    }
  }

  async function end(): Promise<void> {
    stopping.abort()
    current.child.kill('SIGTERM')
    const late = setTimeout(() => {
      log.warn({ ms: STOP_TIMEOUT_MS }, 'embedded Redis does not stop: killing it')
      current.child.kill('SIGKILL')
    }, STOP_TIMEOUT_MS)
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
    // Redis writes before it answers in either case. With "no", this process syncs: see syncEverySecond.
    appendfsync: fsync === 'always' ? 'always' : 'no',
    save: '',
    'maxmemory-policy': 'volatile-ttl', // the hit counter has no TTL and must never be evicted
    daemonize: 'no'
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  // Detached: Ctrl-C is sent to the terminal's process group, and draining workers still need Redis.
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
  return { child, ready: untilReady(child, exited, forwardOutput(child, log), socketPath), exited }
}

/** `1234:M 21 Nov 2026 03:22:11.123 * text`; the sign is the level: `.` debug, `-` verbose, `*` notice, `#` warning. */
const LOG_LINE = /^\d+:\w \d+ \w+ \d+ [\d:.]+ ([-.*#]) (.*)$/
/** Redis up to 7.0 logs these at the level of a warning at every start and stop. */
const CHATTER =
  /^(oO0|\S+ version=|Configuration loaded|Server initialized|Received SIG|User requested|.* bye bye|WARNING Memory overcommit)/

/** Writes the server's output to the log. @returns its last lines, for error messages */
function forwardOutput(child: ChildProcess, log: Logger): string[] {
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
  for (let deadline = Date.now() + BOOT_TIMEOUT_MS; isUp() && Date.now() < deadline; await sleep(POLL_MS)) {
    const answer = await sendCommand(socketPath, 'PING', 1_000).catch(() => undefined)
    if (answer === '+PONG') return
    // Loading a large file may take any time, as long as the server reports that it does so.
    if (answer?.startsWith('-LOADING')) deadline = Date.now() + BOOT_TIMEOUT_MS
  }
  child.kill('SIGKILL')
  const end = await exited
  await closed
  throw new StartupError(`The embedded Redis did not start (${end}). Its last output: ${tail.join(' | ') || 'none'}`)
}

/** Stops a server that still uses the socket: two servers would destroy the append-only file. */
async function endLeftover(socketPath: string, log: Logger): Promise<void> {
  const deadline = Date.now() + LEFTOVER_TIMEOUT_MS
  for (let tries = 0; ; tries++) {
    // NOSAVE skips the RDB snapshot, which is not used; the append-only file is synced nevertheless. It is the only form that
    // a server accepts while it runs a script.
    const answer = await sendCommand(socketPath, 'SHUTDOWN NOSAVE', deadline - Date.now()).catch(String)
    if (answer === undefined) break
    if (Date.now() > deadline)
      throw new StartupError(
        `A Redis server uses ${socketPath} and does not stop (${answer}): stop it, or set RUN_DIR to another folder`
      )
    if (tries === 0) log.warn({ socketPath }, 'stopping the Redis of a killed primary')
    await sleep(POLL_MS)
  }
  await rm(socketPath, { force: true })
}

/**
 * Sends one inline command. Resolves with the first line of the answer, '' if the server closes without one, or undefined if
 * there is no server. Rejects when there is no answer within `ms`.
 */
function sendCommand(socketPath: string, command: string, ms: number): Promise<string | undefined> {
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
