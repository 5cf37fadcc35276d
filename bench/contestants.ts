import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Row } from './load/load.ts'
import { BenchError } from './scenario.ts'
import { muster, type Program, type Running, type ServerSettings, startProgram } from './servers.ts'

/** A server that is compared with others. */
export interface Contestant {
  readonly about: string
  readonly program: Omit<Program, 'name'> | ((workers: number) => Omit<Program, 'name'>)
  /** Keeps hits and sessions in Redis, so a cookie must lead back to its session. */
  readonly shared: boolean
  /** The kinds of load that it is measured with; all by default. */
  readonly rows?: readonly Row[]
}

/** The servers of this checkout, in the order of the tables. Ratios refer to the first. */
export const own = {
  bare: {
    about: 'Fastify on node:cluster, no Redis, nothing shared',
    program: { file: './apps/bare.js' },
    shared: false
  },
  'bare-shared': {
    about: 'bare with workers that accept on a shared socket (`SCHED_NONE` of node:cluster)',
    program: { file: './apps/bare.js', env: { SCHEDULING: 'shared' } },
    shared: false,
    rows: ['connect']
  },
  'by-the-book': {
    about:
      '@fastify/session on the pages that need one, connect-redis on ioredis, an INCR per request and default metrics, ' +
      'as the documentation of these packages shows',
    program: { file: './apps/by-the-book.js' },
    shared: true
  },
  muster: { about: 'this service with its defaults', program: muster(), shared: true },
  'muster-shared': {
    about: 'this service with `SCHEDULING=shared`',
    program: muster({ SCHEDULING: 'shared' }),
    shared: true,
    rows: ['connect']
  }
} as const satisfies Record<string, Contestant>

/** Other products, which are never dependencies of the project. */
export const peers = {
  pm2: {
    about: 'Express with express-session and connect-redis, an INCR per request, under PM2 in cluster mode',
    shared: true,
    program: (workers) => pm2(workers, readFileSync(new URL('./apps/express.mjs', import.meta.url), 'utf8'))
  },
  watt: {
    about: 'the Fastify app of by-the-book under Platformatic Watt, whose workers are threads',
    shared: true,
    program: (workers) => watt(workers, `export { build as create } from ${urlOf('./apps/by-the-book-app.js')}`)
  }
} as const satisfies Record<string, Contestant>

export const contestants: Readonly<Record<string, Contestant>> = { ...own, ...peers }

/** The help text of `--against`. */
export const AGAINST = 'folder of another built checkout: its muster is compared too, as "before"'

/** The service of another checkout. Before there was `muster start`, main.js served the example. */
export function musterOf(folder: string): Contestant {
  const dist = join(resolve(folder), 'dist/src')
  const hasStart = existsSync(join(dist, 'start.js'))
  const program = hasStart
    ? { file: join(dist, 'cli/muster.js'), args: ['start', join(dist, 'routes/index.js')] }
    : { file: join(dist, 'main.js') }
  return { about: `the service in ${folder}`, program, shared: true }
}

/** Starts a contestant; a peer is installed first, if its version is not there yet. */
export function startContestant(
  name: string,
  { program }: Contestant,
  settings: ServerSettings,
  env: Program['env'] = {}
): Promise<Running> {
  const resolved = typeof program === 'function' ? program(settings.workers) : program
  return startProgram({ ...resolved, name, env: { ...resolved.env, ...env } }, settings)
}

/**
 * PM2 in cluster mode, installed on demand into `.bench/`.
 * @param source source of the app
 * @param options further options of the app in PM2's configuration
 */
export function pm2(workers: number, source: string, options: object = {}): Omit<Program, 'name'> {
  const app = { name: 'app', script: 'app.mjs', instances: workers, exec_mode: 'cluster', pmx: false, vizion: false }
  return installPeer('pm2', {
    packages: {
      pm2: '7.0.4',
      express: '5.3.0',
      'express-session': '1.19.0',
      'connect-redis': '8.1.0',
      ioredis: '6.0.0'
    },
    files: {
      'app.mjs': source,
      'ecosystem.config.cjs': `module.exports = ${json({ apps: [{ ...app, ...options }] })}`
    },
    start: {
      file: 'node_modules/pm2/bin/pm2-runtime',
      args: ['start', 'ecosystem.config.cjs'],
      env: { PM2_DISABLE_VERSION_CHECK: 'true', PM2_DISCRETE_MODE: 'true', PM2_HOME: join(peerFolder('pm2'), 'home') }
    }
  })
}

/**
 * Platformatic Watt, installed on demand into `.bench/`.
 * @param source source of a module whose `create` makes the app
 * @param options further options of Watt
 */
export function watt(workers: number, source: string, options: object = {}): Omit<Program, 'name'> {
  return installPeer('watt', {
    packages: { wattpm: '3.65.0', '@platformatic/node': '3.65.0' },
    files: {
      'watt.json': json({
        $schema: 'https://schemas.platformatic.dev/wattpm/3.65.0.json',
        server: { hostname: '{HOST}', port: '{PORT}' },
        workers,
        logger: { level: '{LOG_LEVEL}' },
        managementApi: false,
        metrics: false,
        watch: false,
        applications: [{ id: 'app', path: './app' }],
        entrypoint: 'app',
        ...options
      }),
      'app/package.json': json({ private: true, type: 'module', main: 'index.js' }),
      'app/watt.json': json({
        $schema: 'https://schemas.platformatic.dev/@platformatic/node/3.65.0.json',
        node: { main: 'index.js' }
      }),
      'app/index.js': source
    },
    start: {
      file: 'node_modules/wattpm/bin/cli.js',
      args: ['start'],
      env: { PLT_DISABLE_TELEMETRY: 'true', NO_UPDATE_NOTIFIER: '1' }
    }
  })
}

/** This service with the packages of OpenTelemetry, which are installed on demand into `.bench/`. */
export function telemetry(env: Readonly<Record<string, string>>): Omit<Program, 'name'> {
  const { file } = installPeer('telemetry', {
    packages: {
      '@fastify/otel': '0.21.2',
      '@opentelemetry/api': '1.9.1',
      '@opentelemetry/exporter-trace-otlp-proto': '0.223.1',
      '@opentelemetry/sdk-trace-node': '2.12.1'
    },
    files: { 'app.mjs': `export { default } from ${urlOf('../src/routes/index.js')}\n` },
    start: { file: 'app.mjs' }
  })
  return muster(env, file)
}

/** @throws BenchError when npm cannot install the packages */
function installPeer(
  name: string,
  { packages, files, start }: { packages: object; files: Record<string, string>; start: Omit<Program, 'name'> }
): Omit<Program, 'name'> {
  const folder = peerFolder(name)
  const write = (file: string, text: string) => {
    mkdirSync(join(folder, file, '..'), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  const manifest = json({ private: true, dependencies: packages })
  const done = join(folder, 'installed.json')
  if (!existsSync(done) || readFileSync(done, 'utf8') !== manifest) {
    write('package.json', manifest)
    console.error(`installing ${name} into .bench/ …`)
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    try {
      execFileSync('npm', ['install', ...quiet], { cwd: folder, stdio: ['ignore', 2, 2], timeout: 600_000 })
    } catch (error) {
      throw new BenchError(`${name} could not be installed: ${(error as Error).message}`)
    }
    write('installed.json', manifest)
  }
  for (const [file, text] of Object.entries(files)) write(file, text)
  return { ...start, file: join(folder, start.file), cwd: folder }
}

const peerFolder = (name: string) => fileURLToPath(new URL(`../../.bench/${name}/`, import.meta.url))
/** The URL of a compiled file of this folder, as a string in a source. */
export const urlOf = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href)
const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
