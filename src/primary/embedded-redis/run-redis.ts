import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { StartupError } from '../../common/errors.ts'
import { socketFromHandle } from '../../node-internals/tcp-handle.ts'
import { syncEverySecond } from './append-only-sync.ts'
import { findRedis, type RedisBinary } from './find-redis.ts'
import { findRunningServer, type Server } from './running-server.ts'
import { sendCommand } from './send-command.ts'
import { ServerOutput } from './server-output.ts'

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
  /** The pipes of what the server writes, for a primary that replaces this one. */
  readonly output: object[]
  /** Leaves the server to another primary: it is neither restarted nor stopped any more. @returns the pipes of what it writes */
  release(): object[]
}

/**
 * Runs a Redis on a Unix socket (0600, no TCP port) with an append-only file, and restarts it whenever it exits unexpectedly.
 * Resolves when it answers. A server that a killed primary left behind is stopped first.
 * @throws StartupError when there is no server to run, or it does not answer within 60 s; the message has its last output
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const { runDir, log } = options
  const socketPath = redisSocketOf(runDir)
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
  log.info({ file: binary.file, socketPath, redisPid: first.pid }, 'embedded Redis ready')
  return superviseServer(first, binary, options)
}

/**
 * Supervises the server that another primary has started. It keeps running.
 * @param output the pipes of what it writes; without them that is lost
 * @throws StartupError as {@link startEmbeddedRedis}, which does the rest when no server answers
 */
export async function adoptEmbeddedRedis(options: EmbeddedRedisOptions, output: object[]): Promise<EmbeddedRedis> {
  const { runDir, log, onPid } = options
  const socketPath = redisSocketOf(runDir)
  const running = await findRunningServer(socketPath)
  const read = new ServerOutput(output.map(socketFromHandle), log)
  if (!running) return startEmbeddedRedis(options)
  const binary = await findRedis(options)
  const { pid } = running
  onPid(pid, true)
  void running.exited.then(() => onPid(pid, false))
  log.info({ file: binary.file, socketPath, redisPid: pid }, 'embedded Redis adopted')
  return superviseServer({ ...running, ready: Promise.resolve(), output: read }, binary, options)
}

const redisSocketOf = (runDir: string) => join(runDir, 'redis.sock')

function superviseServer(first: Server, binary: RedisBinary, options: EmbeddedRedisOptions): EmbeddedRedis {
  const { runDir, log, fsync } = options
  const socketPath = redisSocketOf(runDir)
  const { stop, release, output } = supervise(first, () => launch(binary, options, socketPath), options)
  const stopSync = fsync === 'always' ? () => {} : syncEverySecond(dataFolder(runDir), log)
  return {
    socketPath,
    product: binary.product,
    get output() {
      return output().handles
    },
    stop: () => stop().finally(stopSync),
    release: () => {
      release()
      stopSync()
      return output().take()
    }
  }
}

/** Restarts the server whenever it ends. */
function supervise(
  server: Server,
  relaunch: () => Server,
  { log, onPid }: EmbeddedRedisOptions
): { stop(): Promise<void>; release(): void; output(): ServerOutput } {
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
        log.info({ redisPid: current.pid }, 'embedded Redis restarted')
      } catch (err) {
        if (!signal.aborted) log.error({ err }, 'embedded Redis restart failed')
      }
    }
  }

  async function end(): Promise<void> {
    stopping.abort()
    current.kill('SIGTERM')
    const late = setTimeout(() => {
      log.warn({ ms: STOP_TIMEOUT_MS }, 'embedded Redis does not stop: killing it')
      current.kill('SIGKILL')
    }, STOP_TIMEOUT_MS)
    await running
    clearTimeout(late)
  }

  const running = keepRunning()
  let stopped: Promise<void> | undefined
  return {
    stop: () => {
      stopped ??= end()
      return stopped
    },
    release: () => {
      stopped = Promise.resolve()
      stopping.abort()
      current.release()
      if (current.pid) onPid(current.pid, false)
    },
    output: () => current.output
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
  // There are none when no process could be created.
  const pipes = [child.stdout, child.stderr].filter((pipe) => pipe !== undefined) as Socket[]
  const output = new ServerOutput(pipes, log)
  const ready = untilReady(child, exited, output.tail, socketPath)
  return { pid, kill: (signal) => child.kill(signal), ready, exited, output, release: () => {} }
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
