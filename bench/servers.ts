import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { launch, stop } from './children.ts'
import { BenchError } from './command.ts'
import { type Case, cases } from './load/load.ts'
import { descendants } from './measure.ts'

/** Many workers on few cores that others use too take their time. */
const READY_MS = 60_000

export interface Server<Name extends string = string> {
  readonly name: Name
  readonly url: string
  /** Keeps its hits and sessions in Redis, so that a session must be found again by its cookie. */
  readonly shared: boolean
  /** What it is measured at. */
  readonly rows: readonly Case[]
  /** All its processes as of now, primary first. */
  pids(): number[]
  stop(): Promise<void>
}

export interface ServerSettings {
  readonly workers: number
  readonly redisUrl: string | undefined
  /** Logs and run directories go here, a folder for each server. */
  readonly folder: string
}

/** A program of this package that serves /readyz on PORT. */
export interface Program {
  readonly name: string
  /** The entry point: a path, or relative to this compiled file. */
  readonly file: string
  readonly args?: readonly string[]
  /** Where it runs, instead of a folder of its own among those of the run. */
  readonly cwd?: string
  /** What it gets beside the variables that all get. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Running {
  readonly url: string
  readonly port: number
  readonly child: ChildProcess
  /** The file that stdout and stderr go to. */
  readonly log: string
  /** RUN_DIR, for a program that has one. */
  readonly runDir: string
  stop(): Promise<void>
}

/** A program that runs, as one of those that are compared. */
export function serverOf<Name extends string>(
  running: Running,
  name: Name,
  shared: boolean,
  rows: readonly Case[] = cases
): Server<Name> {
  const { url, child, stop } = running
  return { name, url, shared, rows, pids: () => descendants(child.pid ?? 0), stop }
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
  return { url, port, child, log, runDir: join(own, 'run'), stop: () => stop(child) }
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

/** The same for all, and nothing of the caller's own settings: those would change one server and not the others. */
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
