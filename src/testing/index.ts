/**
 * For tests of an app: `import { createTestApp } from 'muster-serve/testing'`. It is apart from the root of the package, because
 * it loads what a worker serves and what runs the embedded Redis, and an app itself needs neither. See docs/reference/testing.md.
 */

import { randomBytes, randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { primaryAway } from '../common/errors.ts'
import { type Config, loadConfig } from '../config/load.ts'
import { copyEnvironment } from '../config/sources/gather-environment.ts'
import type { AppOptions } from '../http/app-options.ts'
import { type AppDeps, buildApp, withoutScope } from '../http/build-app.ts'
import { createRegistry, readRegistry } from '../http/plugins/metrics/metric-registry.ts'
import type { Shared } from '../http/public-types.ts'
import type { TestAppOptions, TestedApp } from './test-app-options.ts'
import { checkIsUp, removeKeys, startTestRedis } from './test-redis.ts'
import { TestResources } from './test-resources.ts'
import { createTestLog, type TestService, TestWorker, viewOf } from './test-worker.ts'
import { readTestedApp } from './tested-app.ts'

// `Shared` is exported for its module, which gives the instance of Fastify the types of what the service adds to it.
export type { AppOptions, Shared, TestAppOptions, TestedApp }

/** What a busy machine alone would trigger is off. */
const DEFAULTS = { LOG_LEVEL: 'error', MAX_LOOP_DELAY: '0', REDIS_TIMEOUT: '5000' }

const services = new WeakMap<FastifyInstance, TestService>()

/**
 * Builds the Fastify instance that a worker serves, with the app in it and with real shared state: sessions, counters, locks,
 * settings, broadcasts and caches work as in production. The state is in an embedded Redis in a temporary folder, or in the
 * Redis that REDIS_URL names, under a random prefix. So test apps do not see each other's state.
 *
 * Send requests with `app.inject()`, or `app.listen({ port: 0 })` for real connections. `app.close()` ends everything: no
 * process, file or key of the service is left.
 * @returns the instance, ready
 * @throws Error that says what to do when there is no Redis or the configuration is invalid; the error of an app that fails
 */
export async function createTestApp(app: TestedApp, options: TestAppOptions = {}): Promise<FastifyInstance> {
  const resources = new TestResources()
  try {
    return await build(app, options, resources)
  } catch (error) {
    await resources.release()
    throw error
  }
}

async function build(tested: TestedApp, options: TestAppOptions, resources: TestResources): Promise<FastifyInstance> {
  const config = loadConfig({ ...DEFAULTS, ...copyEnvironment(), ...options.env, RUN_DIR: resources.folder })
  const served = await readTestedApp(tested, options.service)
  const service = await serviceOf(config, options.sharesStateWith, resources)
  const worker = new TestWorker(config, service)
  resources.add(() => worker.stop())
  await worker.start()
  checkIsUp(worker.redis)
  if (!options.sharesStateWith) resources.add(() => removeKeys(worker.redis))
  resources.add(() => worker.drain())
  const plugin = endingWith(served.plugin, worker, resources)
  const app = await buildApp({ ...dependencies(config, worker, service), served: { ...served, plugin } })
  await worker.shared.start()
  services.set(app, service)
  return app
}

/** @returns the service of another test app, or a new one with its Redis */
async function serviceOf(
  config: Config,
  other: FastifyInstance | undefined,
  resources: TestResources
): Promise<TestService> {
  const shared = other && services.get(other)
  if (shared) return shared
  if (other) throw new TypeError('sharesStateWith: must be an app that createTestApp has returned')
  const { url, off, prefix } = config.redis
  const embedded = async () => (off ? undefined : startTestRedis(config, resources, createTestLog(config, 0)))
  return {
    redisUrl: url ?? (await embedded()),
    redisPrefix: `${prefix}test-${randomBytes(6).toString('hex')}:`,
    instance: randomUUID(),
    workers: new Set()
  }
}

/** What the app gets from its worker. There is no primary: admin commands get 503. */
function dependencies(config: Config, worker: TestWorker, service: TestService): Omit<AppDeps, 'served'> {
  const registry = createRegistry()
  const { info, redis, shared, sessionSecrets, draining, log } = worker
  const workers = async () => [{ slot: info.slot, ...(await readRegistry(registry)) }]
  return {
    config,
    log,
    worker: info,
    redis,
    shared,
    sessionSecrets: sessionSecrets.list,
    registry,
    cluster: () => viewOf(service),
    collectMetrics: async () => ({ primary: [], missing: [], workers: await workers() }),
    workerRequestCounts: async () => [...service.workers].map(() => ({ pid: info.pid, requests: 0 })),
    draining,
    primary: { command: () => Promise.reject(primaryAway(undefined)), watch: () => () => {} }
  }
}

/** @returns the plugin, with hooks that end the worker when the app is closed; hooks of the plugin run before them */
function endingWith(plugin: FastifyPluginAsync, worker: TestWorker, resources: TestResources): FastifyPluginAsync {
  return async (scope) => {
    scope.addHook('preClose', () => worker.drain())
    scope.addHook('onClose', () => resources.release())
    await scope.register(withoutScope(plugin))
  }
}
