import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { descendants, launch, stop } from './processes.ts'
import { BenchError } from './scenario.ts'

/** Generous, because many workers may boot on a few busy cores. */
const READY_MS = 60_000

export interface ServerSettings {
  readonly workers: number
  readonly redisUrl: string | undefined
  /** The folder for logs and run directories; each server gets a folder in it. */
  readonly folder: string
}

/** A program of this package that serves /readyz on PORT. */
export interface Program {
  readonly name: string
  /** The entry point: an absolute path, or relative to this compiled file. */
  readonly file: string
  readonly args?: readonly string[]
  /** Its working directory; by default a folder of its own. */
  readonly cwd?: string
  /** Variables in addition to those that every program gets. */
  readonly env?: Readonly<Record<string, string>>
}

/** This service. @param app file of the app, relative to the compiled files of this folder */
export function muster(
  env: Readonly<Record<string, string>> = {},
  app = '../src/routes/index.js'
): Omit<Program, 'name'> {
  return { file: '../src/cli/muster.js', args: ['start', fileURLToPath(new URL(app, import.meta.url))], env }
}

/** A program that was started and answers. */
export interface Running {
  readonly name: string
  readonly url: string
  readonly port: number
  readonly child: ChildProcess
  /** The file that stdout and stderr go to. */
  readonly log: string
  /** RUN_DIR, for a program that has one. */
  readonly runDir: string
  /** All its processes as of now, the primary first. */
  pids(): number[]
  stop(): Promise<void>
}

/** Starts a program on a free loopback port; resolves when GET /readyz answers 200, rejects after a minute without. */
export async function startProgram(program: Program, settings: ServerSettings): Promise<Running> {
  const { name, file, args = [], env } = program
  const path = fileURLToPath(new URL(file, import.meta.url))
  if (!existsSync(path))
    throw new BenchError(`${path} is missing: run npm run build, or leave ${name} out with --only.`)
  const own = mkdtempSync(join(settings.folder, `${name}-`))
  const port = await freePort()
  const log = join(own, 'output.log')
  const output = openSync(log, 'a')
  const variables = { ...environment(port, settings, join(own, 'run')), ...env }
  const child = launch(process.execPath, [path, ...args], {
    cwd: program.cwd ?? own,
    env: variables,
    stdio: ['ignore', output, output]
  })
  closeSync(output)
  const url = `http://127.0.0.1:${port}`
  await ready(child, url, name, log)
  const pids = () => descendants(child.pid ?? 0)
  return { name, url, port, child, log, runDir: join(own, 'run'), pids, stop: () => stop(child) }
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The same variables for every program, and no settings of the caller: those would change one server and not the others. */
function environment(port: number, settings: ServerSettings, runDir: string): NodeJS.ProcessEnv {
  const { PATH, HOME, NODE_OPTIONS } = process.env
  return {
    ...(PATH === undefined ? {} : { PATH }),
    ...(HOME === undefined ? {} : { HOME }),
    ...(NODE_OPTIONS === undefined ? {} : { NODE_OPTIONS }),
    ...(settings.redisUrl === undefined ? {} : { REDIS_URL: settings.redisUrl }),
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: String(port),
    WORKERS: String(settings.workers),
    LOG_LEVEL: 'warn',
    RUN_DIR: runDir
  }
}

async function ready(child: ChildProcess, url: string, name: string, log: string): Promise<void> {
  const deadline = Date.now() + READY_MS
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    if ((await statusOf(`${url}/readyz`)) === 200) return
    await sleep(50)
  }
  const how = Date.now() < deadline ? 'ended before it was ready' : 'was not ready in time'
  throw new BenchError(`${name} ${how}. The end of its output:\n${readFileSync(log, 'utf8').slice(-2000)}`)
}

function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = http.get(url, { agent: false, timeout: 1000 }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(undefined))
  })
}
