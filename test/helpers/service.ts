import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Cleans, cleanup } from './cleanup.ts'
import { parseStrictly } from './strict-json.ts'

export const CLI = fileURLToPath(new URL('../../src/cli/muster.js', import.meta.url))
/** The app of services for which a test names none. */
export const EXAMPLE = fileURLToPath(new URL('../../src/routes/index.js', import.meta.url))
/** The command that starts a service, for a shell. The environment names the app. */
export const START = `"${process.execPath}" "${CLI}" start`
/** Bounds a failure; a passing test never waits this long. Generous, because many processes share few cores. */
export const PATIENCE_MS = 120_000

/** One line of the service's log. */
export interface Line {
  msg: string
  role?: string
  pid?: number
  slot?: number
  worker?: number
  generation?: number
  port?: number
  [field: string]: unknown
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** A running service of real processes, and its log. A log line that repeats a key fails the test. */
export class Service {
  readonly child: ChildProcess
  readonly runDir: string
  readonly lines: Line[] = []
  stderr = ''
  /** Standard error of the workers, taken from the log. */
  workerStderr = ''
  readonly exited: Promise<Exit>
  port = 0
  readonly #watchers = new Set<() => void>()

  /** @param keeps selects the log lines that stay in `lines` */
  constructor(child: ChildProcess, runDir: string, keeps: (line: Line) => boolean = () => true) {
    this.child = child
    this.runDir = runDir
    this.exited = once(child, 'close').then(([code, signal]) => ({ code, signal }))
    void this.exited.then(() => this.#changed())
    createInterface({ input: child.stdout! }).on('line', (text) => {
      const line = text.startsWith('{') ? (parseStrictly(text) as Line) : { msg: text }
      if (line.msg === 'worker standard error') this.workerStderr += `${line.line}\n`
      if (!keeps(line)) return
      this.lines.push(line)
      this.#changed()
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.child.pid!
  }

  /** Waits for the first matching line. @param from index into `lines` to start at */
  async line(matches: (line: Line) => boolean, from = 0): Promise<Line> {
    // Under load there are thousands of lines, so each is checked once.
    let next = from
    const look = () => {
      while (next < this.lines.length) {
        const line = this.lines[next++]!
        if (matches(line)) return line
      }
      return undefined
    }
    return (await this.until(look, 'a log line')) as Line
  }

  /** Resolves with the first truthy result of `check`, which runs after every log line. */
  until<T>(check: () => T, what = 'a state'): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => settle(() => reject(new Error(`${what} did not come:\n${this.tail()}`))),
        PATIENCE_MS
      )
      let isSettled = false
      const look = () => {
        const value = check()
        if (value) settle(() => resolve(value))
        else if (this.child.exitCode !== null || this.child.signalCode !== null) {
          // Lines already in the pipe still come before 'close'.
          void this.exited.then(() => {
            if (isSettled) return
            const last = check()
            settle(() =>
              last ? resolve(last) : reject(new Error(`the service ended before ${what} came:\n${this.tail()}`))
            )
          })
        }
      }
      const settle = (done: () => void) => {
        isSettled = true
        clearTimeout(timer)
        this.#watchers.delete(look)
        done()
      }
      this.#watchers.add(look)
      look()
    })
  }

  /** Waits until every slot has had a ready worker since the line of index `from`. */
  async ready(workers: number, from = 0): Promise<void> {
    const slots = new Set<number>()
    let next = from
    await this.until(() => {
      for (; next < this.lines.length; next++) {
        const { msg, slot } = this.lines[next]!
        if (msg === 'worker ready') slots.add(slot!)
      }
      return slots.size >= workers
    }, `${workers} ready workers`)
  }

  /** Sends SIGHUP and waits for the end of the rollout. @returns the log line of its end */
  async reload(): Promise<Line> {
    const from = this.lines.length
    this.child.kill('SIGHUP')
    return this.line((line) => line.msg.startsWith('rollout ') && line.msg !== 'rollout started', from)
  }

  /** The workers that are alive according to the log, by pid. */
  workers(): Map<number, { slot: number; generation: number }> {
    const alive = new Map<number, { slot: number; generation: number }>()
    for (const { msg, worker, slot, generation } of this.lines) {
      if (msg === 'worker started') alive.set(worker!, { slot: slot!, generation: generation! })
      if (msg === 'worker exited') alive.delete(worker!)
    }
    return alive
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.child.kill(signal)
    return this.exited
  }

  tail(): string {
    return `${this.lines
      .slice(-30)
      .map((line) => JSON.stringify(line))
      .join('\n')}\n${this.stderr}`
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}

export interface StartOptions {
  env?: Record<string, string>
  workers?: number
  /** RUN_DIR of the caller, for a second start on the same folder. */
  runDir?: string
  /** Waits until every worker is ready. Default: true. */
  wait?: boolean
  /** Hard limit of file descriptors of each process. */
  maxDescriptors?: number
  /** Gives the service a process group of its own, so that a test can signal the whole group. Default: true. */
  detached?: boolean
  /** Shell words in front of the command. */
  launcher?: string
  /** A shell command that replaces `node main.js`. */
  command?: string
  /** A file descriptor of this process that the service gets as descriptor 3. */
  fd?: number
  /** Selects the log lines that stay in `Service.lines`. Default: all. */
  keeps?: (line: Line) => boolean
}

/** Switches off what a busy machine alone would trigger, and shortens the canary. Tests of these set them again. */
const PATIENT = { REDIS_TIMEOUT: '5000', BOOT_TIMEOUT: '120000' }
const CALM = { ...PATIENT, MAX_LOOP_DELAY: '0', CANARY_TIME: '200', REBALANCE: 'off' }

/**
 * Collecting coverage costs a process a third more CPU time and a start half as much again, so that only the first service of a test
 * file does it.
 */
let collectsCoverage = true

/** Starts a service on a free port with a RUN_DIR of its own. Its processes are killed after the test. */
export async function startService(t: Cleans, options: StartOptions = {}): Promise<Service> {
  const { env = {}, workers = 2, runDir = temporaryFolder(t), wait = true, detached = true } = options
  // Node raises the soft limit to the hard one at its start.
  const limit = options.maxDescriptors === undefined ? '' : `ulimit -n ${options.maxDescriptors}; `
  const { launcher = '', command = START, fd } = options
  const { NODE_V8_COVERAGE, ...inherited } = cleanEnvironment()
  const coverage = NODE_V8_COVERAGE && collectsCoverage ? { NODE_V8_COVERAGE } : {}
  collectsCoverage = false
  const child = spawn('sh', ['-c', `${limit}exec ${launcher} ${command}`], {
    env: {
      ...inherited,
      ...coverage,
      PORT: '0',
      WORKERS: String(workers),
      RUN_DIR: runDir,
      APP: EXAMPLE,
      ...CALM,
      ...env
    },
    stdio: ['ignore', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
    detached
  })
  const service = new Service(child, runDir, options.keeps)
  cleanup(t, async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGQUIT')
      await service.exited
    }
    for (const pid of processesWith(runDir)) process.kill(pid, 'SIGKILL')
  })
  if (wait) {
    service.port = (await service.line((line) => line.msg === 'muster started')).port!
    await service.ready(workers)
  }
  return service
}

/** Runs the `muster` command against a service. */
export function muster(
  service: Pick<Service, 'runDir'>,
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...cleanEnvironment(), RUN_DIR: service.runDir },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  return once(child, 'close').then(([code]) => ({ code: code as number | null, ...output }))
}

/** Iterates the lines of a `muster` command that does not end by itself. The command is killed after the test. */
export function musterStream(t: TestContext, service: Pick<Service, 'runDir'>, ...args: string[]) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...cleanEnvironment(), RUN_DIR: service.runDir },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  cleanup(t, () => child.kill('SIGKILL'))
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]()
}

/** Makes a folder that is removed after the test. Its path is short, because Unix sockets live in it. */
export function temporaryFolder(t: Cleans): string {
  const folder = mkdtempSync(join(tmpdir(), 'muster-'))
  cleanup(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** The environment of this process without the variables that configure a service. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, XDG_CACHE_HOME, NODE_V8_COVERAGE } = process.env
  return { PATH, HOME, ...(XDG_CACHE_HOME && { XDG_CACHE_HOME }), ...(NODE_V8_COVERAGE && { NODE_V8_COVERAGE }) }
}

/** Processes whose command line or environment names the folder. */
export function processesWith(runDir: string): number[] {
  const found = execFileSync(
    'sh',
    ['-c', `grep -lsa -- "${runDir}" /proc/[0-9]*/environ /proc/[0-9]*/cmdline || true`],
    { encoding: 'utf8' }
  )
  const pids = new Set([...found.matchAll(/\/proc\/(\d+)\//g)].map((match) => Number(match[1])))
  return [...pids].filter((pid) => pid !== process.pid && isAlive(pid))
}

/** Whether the process runs. A zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
