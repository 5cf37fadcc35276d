import type { RequestListener, Server } from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { StartupError } from '../../common/errors.ts'
import { http } from '../../common/node-http.ts'
import { stopPretending } from '../../node-internals/pretended-listening.ts'
import { forwardUpgrades } from '../protocols/upgrades.ts'
import type { AppKind } from './recognise.ts'

/** An app that gets requests as Node made them. */
export interface MountedApp {
  readonly kind: Exclude<AppKind, 'plugin'>
  /**
   * Its listeners of `request` and `upgrade` get what the service receives, and those of `draining` hear that the worker drains.
   * It never listens itself.
   */
  server: Server
  /** Called when the worker listens. */
  onListen(): Promise<void>
  /** Called at the shutdown of the worker, after all requests are answered. */
  close(): Promise<void>
}

/** The parts of Nest's application that are used here. */
interface NestApp {
  init(): Promise<unknown>
  getHttpAdapter(): { getInstance(): Partial<FastifyInstance> }
  getHttpServer(): Server
  /** @param signal is passed to the app's shutdown hooks */
  close(signal: string): Promise<void>
}

/**
 * Starts an app of any kind but a plugin.
 * @param path of its module, from which packages of the app are resolved
 * @throws StartupError when a package is missing, or the app has a server of HTTPS or HTTP/2
 */
export async function startMounted(kind: MountedApp['kind'], value: unknown, path: string): Promise<MountedApp> {
  switch (kind) {
    case 'fastify':
      return mountFastify(value as FastifyInstance)
    case 'nest':
      return mountNest(value as NestApp)
    case 'server':
      return mountServer(kind, value as Server)
    case 'koa':
      return mountServer(kind, http.createServer((value as { callback(): RequestListener }).callback()))
    case 'fetch':
      return mountServer(kind, http.createServer(await fetchListener(value as FetchApp, path)))
    default:
      return mountServer(kind, http.createServer(value as RequestListener))
  }
}

/** Mounts the listeners of a server. Nothing is to be closed but the server. */
export function mountServer(kind: MountedApp['kind'], server: Server): MountedApp {
  return { kind, server, onListen: async () => {}, close: async () => stopPretending(server) }
}

/** Lets `from` give everything to `to`, which serves the same app and may have further listeners. */
export function replaceServer(from: Server, to: Server): void {
  from.removeAllListeners('request')
  from.on('request', (request, response) => to.emit('request', request, response))
  from.on('draining', () => to.emit('draining'))
  forwardUpgrades(from, to)
}

async function mountFastify(instance: FastifyInstance): Promise<MountedApp> {
  await instance.ready()
  return {
    kind: 'fastify',
    server: plainServer(instance.server),
    onListen: async () => {
      // Runs its onListen hooks. The intercepted server binds nothing.
      if (!instance.server.listening) await instance.listen({ port: 0, host: '127.0.0.1' })
    },
    close: async () => {
      stopPretending(instance.server)
      await instance.close()
    }
  }
}

async function mountNest(app: NestApp): Promise<MountedApp> {
  await app.init()
  // With Fastify's adapter its routes exist only then.
  await app.getHttpAdapter().getInstance().ready?.()
  const server = plainServer(app.getHttpServer())
  return {
    kind: 'nest',
    server,
    onListen: async () => {},
    close: async () => {
      stopPretending(server)
      await app.close('SIGTERM')
    }
  }
}

function plainServer(server: Server): Server {
  if (server instanceof http.Server) return server
  throw new StartupError(
    'APP has a server of HTTPS or HTTP/2, but the service speaks TLS itself: create the app without these options, and set ' +
      'TLS_CERT and TLS_KEY'
  )
}

type FetchApp = { fetch(request: unknown): unknown }

/** Apps that answer `fetch`, such as Hono's, need a package that makes a Request of what Node has received. */
async function fetchListener(app: FetchApp, path: string): Promise<RequestListener> {
  const require = createRequire(path)
  let adapter: string
  try {
    adapter = require.resolve('@hono/node-server')
  } catch {
    throw new StartupError(
      'APP has a fetch method, as Hono has, and needs the package @hono/node-server: npm i @hono/node-server'
    )
  }
  const { getRequestListener } = (await import(pathToFileURL(adapter).href)) as {
    getRequestListener(fetch: FetchApp['fetch']): RequestListener
  }
  return getRequestListener((request) => app.fetch(request))
}
