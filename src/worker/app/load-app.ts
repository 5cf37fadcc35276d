import type { FastifyPluginAsync } from 'fastify'
import { StartupError } from '../../common/errors.ts'
import { type AppOptions, mergeOptions } from '../../http/app-options.ts'
import type { ServedApp } from '../../http/build-app.ts'
import { issuesOfAppOptions } from '../../http/check-app-options.ts'
import type { ListenAddress } from '../../node-internals/pretended-listening.ts'
import { deferSignalListeners } from './app-signals.ts'
import { CapturedServers, sharesListener, TWO_APPS } from './captured-servers.ts'
import { importApp } from './import-app.ts'
import { mount, routableUrl } from './mount.ts'
import { type MountedApp, mountServer, replaceServer, startMounted } from './mounted-app.ts'
import { readExports } from './read-exports.ts'
import { type AppKind, kindOf } from './recognise.ts'

export interface LoadOptions {
  /** What servers of the app report as their address. */
  address: ListenAddress
  /** How long an app that exports nothing may take until it tells a server to listen, in ms. */
  listenMs: number
  /** Options of the config file. Those of the app itself are stronger. */
  service: unknown
}

type MountedKind = Exclude<AppKind, 'plugin'>

/** What the service does not add to an app that is mounted, unless the app asks for it. */
const LEFT_TO_MOUNTED: AppOptions = { sessions: false, crossSiteCheck: false, methodCheck: false }
/** An app of these kinds has a server of its own. */
const WITH_SERVER: readonly AppKind[] = ['fastify', 'nest', 'server']
/** Frameworks that understand the requests of Node's HTTP/2. Express does not: such a request would end the worker. */
const WITH_HTTP2: readonly AppKind[] = ['fastify', 'koa', 'fetch']
const USABLE =
  'a Fastify plugin, an instance of Fastify, an app of Express, Koa, Hono or Nest, a listener (req, res), or an http.Server'

/**
 * Loads the app that is served: what its module exports, or the server that it tells to listen.
 * @param path of the module that APP names
 * @throws StartupError when the module has a syntax error, or has no app, or two
 */
export async function loadApp(path: string, { address, listenMs, service }: LoadOptions): Promise<ServedApp> {
  const captured = new CapturedServers(address)
  deferSignalListeners()
  // Programs compare it with the path of their module to see whether they were started or imported.
  process.argv[1] = path
  const { app, serverOptions, options: own } = await readExports(await importApp(path))
  const issues = issuesOfAppOptions(service, 'service')
  if (issues.length > 0) throw new StartupError(['The config file is invalid:', ...issues].join('\n  '))
  const options = mergeOptions(service as AppOptions, own)
  const kind = options.kind ?? kindOf(app)
  if (captured.problem) throw captured.problem
  if (options.kind && typeof app !== 'function') {
    throw new StartupError(`APP: ${path} says kind: '${options.kind}', but its default export is no function`)
  }
  if (kind === 'plugin') {
    if (captured.server) throw new StartupError(TWO_APPS)
    captured.release(() => false)
    return { plugin: app as FastifyPluginAsync, serverOptions: serverOptions ?? {}, options }
  }
  if (serverOptions) {
    throw new StartupError(
      `APP: ${path} exports options, which only a plugin can have: set them where the app is created`
    )
  }
  const mounted = kind
    ? await startExported(kind, app, path, captured)
    : await awaitServer(app, path, captured, listenMs)
  return mountedApp(mounted, options)
}

/** Makes a plugin of an app that gets requests as Node made them. */
export function mountedApp(mounted: MountedApp, options: AppOptions): ServedApp {
  return {
    plugin: mount(mounted, options),
    serverOptions: { rewriteUrl: routableUrl },
    options: { ...LEFT_TO_MOUNTED, ...options },
    mounted: mounted.kind,
    needsHttp1: !WITH_HTTP2.includes(mounted.kind)
  }
}

/** Starts the app that a module exports. The module may also have told a server with this app to listen. */
async function startExported(
  kind: MountedKind,
  app: unknown,
  path: string,
  captured: CapturedServers
): Promise<MountedApp> {
  const { server } = captured
  const hasServer = WITH_SERVER.includes(kind)
  // A server that listens may have further listeners than the app, such as those of socket.io.
  const mounted = server && !hasServer ? mountServer(kind, server) : await startMounted(kind, app, path)
  if (server && server !== mounted.server) throw new StartupError(TWO_APPS)
  captured.release((late) => {
    if (late !== mounted.server && !sharesListener(late, mounted.server)) return false
    if (!server && !hasServer) replaceServer(mounted.server, late)
    return true
  })
  return mounted
}

/** Waits until an app that exports nothing tells a server to listen. */
async function awaitServer(
  app: unknown,
  path: string,
  captured: CapturedServers,
  listenMs: number
): Promise<MountedApp> {
  const isWrong = app !== undefined && typeof app !== 'object'
  const server = await captured.first(isWrong ? 0 : listenMs)
  if (!server) throw new StartupError(describeMissing(app, path, isWrong))
  captured.release((late) => late === server || sharesListener(late, server))
  return mountServer('server', server)
}

function describeMissing(app: unknown, path: string, isWrong: boolean): string {
  const what = typeof app === 'function' ? 'a class' : `a ${typeof app}`
  const problem = isWrong
    ? `the default export of ${path} is ${what}`
    : `${path} exports no app, and no server listened within BOOT_TIMEOUT`
  return `APP: ${problem}. Export ${USABLE}, or let a server listen`
}
