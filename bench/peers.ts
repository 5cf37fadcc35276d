import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { BenchError } from './command.ts'
import type { Program } from './servers.ts'

interface Peer {
  /** Exact versions, from the registry that npm is set to; never dependencies of the project. */
  readonly packages: Readonly<Record<string, string>>
  readonly about: string
  /** What is written into its folder, by name. */
  files(workers: number): Readonly<Record<string, string>>
  /** How it is started: the entry point in its folder, and what calls nobody outside. */
  readonly start: { readonly file: string; readonly args: readonly string[]; readonly env: Program['env'] }
}

const source = (file: string) => readFileSync(new URL(`./apps/${file}`, import.meta.url), 'utf8')
const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
const byTheBook = pathToFileURL(fileURLToPath(new URL('./apps/by-the-book-app.js', import.meta.url))).href

/** What does the same by other means. */
export const peers = {
  pm2: {
    packages: {
      pm2: '7.0.4',
      express: '5.3.0',
      'express-session': '1.19.0',
      'connect-redis': '8.1.0',
      ioredis: '6.0.0'
    },
    about: 'Express with express-session and connect-redis, an INCR a request, under PM2 in cluster mode',
    files: (workers) => ({
      'app.mjs': source('express.mjs'),
      'ecosystem.config.cjs': `module.exports = ${json({
        apps: [{ name: 'app', script: 'app.mjs', instances: workers, exec_mode: 'cluster', pmx: false, vizion: false }]
      })}`
    }),
    start: {
      file: 'node_modules/pm2/bin/pm2-runtime',
      args: ['start', 'ecosystem.config.cjs'],
      env: { PM2_DISABLE_VERSION_CHECK: 'true', PM2_DISCRETE_MODE: 'true' }
    }
  },
  watt: {
    packages: { wattpm: '3.65.0', '@platformatic/node': '3.65.0' },
    about: 'the Fastify app of by-the-book under Platformatic Watt, its workers threads',
    files: (workers) => ({
      'watt.json': json({
        $schema: 'https://schemas.platformatic.dev/wattpm/3.65.0.json',
        server: { hostname: '{HOST}', port: '{PORT}' },
        workers,
        logger: { level: '{LOG_LEVEL}' },
        managementApi: false,
        metrics: false,
        watch: false,
        applications: [{ id: 'app', path: './app' }],
        entrypoint: 'app'
      }),
      'app/package.json': json({ private: true, type: 'module', main: 'index.js' }),
      'app/watt.json': json({
        $schema: 'https://schemas.platformatic.dev/@platformatic/node/3.65.0.json',
        node: { main: 'index.js' }
      }),
      'app/index.js': `export { build as create } from ${JSON.stringify(byTheBook)}\n`
    }),
    start: {
      file: 'node_modules/wattpm/bin/cli.js',
      args: ['start'],
      env: { PLT_DISABLE_TELEMETRY: 'true', NO_UPDATE_NOTIFIER: '1' }
    }
  }
} as const satisfies Record<string, Peer>

export type PeerName = keyof typeof peers
export const peerNames = Object.keys(peers) as PeerName[]

/**
 * Installs a peer into `.bench/` of the checkout, unless these versions are there, and writes its application.
 * @throws BenchError when npm cannot install it
 */
export function installPeer(name: PeerName, workers: number): Omit<Program, 'name'> {
  const { packages, start }: Peer = peers[name]
  const folder = fileURLToPath(new URL(`../../.bench/${name}/`, import.meta.url))
  const manifest = json({ private: true, dependencies: packages })
  const done = join(folder, 'installed.json')
  if (!existsSync(done) || readFileSync(done, 'utf8') !== manifest) {
    write(folder, 'package.json', manifest)
    console.error(`installing ${name} into .bench/ …`)
    npmInstall(folder, name)
    write(folder, 'installed.json', manifest)
  }
  for (const [file, text] of Object.entries(peers[name].files(workers))) write(folder, file, text)
  return { file: join(folder, start.file), args: start.args, cwd: folder, env: start.env ?? {} }
}

function npmInstall(folder: string, name: PeerName): void {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  try {
    execFileSync('npm', ['install', ...quiet], { cwd: folder, stdio: ['ignore', 2, 2], timeout: 600_000 })
  } catch (error) {
    throw new BenchError(`${name} could not be installed: ${(error as Error).message}`)
  }
}

function write(folder: string, file: string, text: string): void {
  mkdirSync(join(folder, file, '..'), { recursive: true })
  writeFileSync(join(folder, file), text)
}
