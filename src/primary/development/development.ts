import { relative } from 'node:path'
import { StartupError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { DevelopmentOptions } from '../service-types.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import { ErrorNotice } from './error-notice.ts'
import { InspectorProxy } from './inspector-proxy.ts'
import { WatchedFiles } from './watched-files.ts'

/** Paths of code in an error's text or stack. */
const CODE_PATH = /(?:^|[\s(]|file:\/\/)(\/[^\s():]+\.(?:[cm]?[jt]sx?|json))\b/gm

/** Flags of Node for workers that a debugger can attach to. Their own message with a port that changes is not printed. */
export const INSPECTOR_FLAGS = ['--inspect=127.0.0.1:0', '--inspect-publish-uid=http']

/**
 * Reloads the service when code changes, and keeps an error of the code in sight until it is fixed.
 * @returns a function that ends this
 * @throws StartupError when a path cannot be watched or the inspector's port is in use
 */
export async function startDevelopment(
  { watch, inspect }: DevelopmentOptions,
  supervisor: Supervisor,
  log: Logger
): Promise<() => void> {
  const files = new WatchedFiles()
  const notice = new ErrorNotice((isBroken) => {
    files.seesNewCode = isBroken
  })
  const { pool } = supervisor
  pool.on('imports', (imports) => {
    for (const [path, modifiedMs] of Object.entries(imports)) files.add(path, modifiedMs)
  })
  pool.on('event', (event) => {
    // What failed may not have been reported as loaded. It is watched before its error can be read, and then fixed.
    const cause = event.type === 'boot-failed' ? event.cause : ''
    for (const [, path] of cause.matchAll(CODE_PATH)) if (!path!.includes('/node_modules/')) files.add(path!)
    notice.handle(event)
  })
  files.on('error', (error) => log.error({ err: error }, 'files cannot be watched'))
  files.on('change', (paths) => {
    log.info({ files: paths.map((path) => relative(process.cwd(), path)) }, 'code changed')
    supervisor.handle({ type: 'reload' })
  })
  addPaths(files, watch)
  const proxy = inspect && (await startProxy(inspect, supervisor, log))
  return () => {
    files.close()
    proxy?.close()
  }
}

function addPaths(files: WatchedFiles, paths: readonly string[]): void {
  for (const path of paths) {
    try {
      files.addPath(path)
    } catch (error) {
      throw new StartupError(`--watch: ${(error as Error).message}`)
    }
  }
}

async function startProxy(
  { host, port }: { host: string; port: number },
  { pool }: Supervisor,
  log: Logger
): Promise<InspectorProxy> {
  const proxy = new InspectorProxy()
  pool.on('inspector', (worker, at) => proxy.opened(worker, at))
  pool.on('event', (event) => {
    if (event.type === 'ready') proxy.ready(event.id)
    if (event.type === 'drain-sent' || event.type === 'boot-failed' || event.type === 'exit') proxy.leaves(event.id)
  })
  log.info({ address: await proxy.listen(host, port) }, 'debuggers connect here')
  return proxy
}
