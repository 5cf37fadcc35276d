import { hostname } from 'node:os'
import type { Logger } from '../../common/log.ts'
import { traceLines } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import { nearestPackage } from '../../config/nearest-package.ts'
import { traceRedis } from '../../http/plugins/tracing/redis-spans.ts'
import { type OpenTelemetry, Tracing } from '../../http/plugins/tracing/tracing.ts'
import type { RedisConnection } from '../../state/redis/redis-connection.ts'
import { loadOtelPackages, type OtelPackages, type TracerProvider } from './otel-packages.ts'

/** How long the last spans may take to leave at the end of a worker. */
const FLUSH_MS = 2000
/** An exporter fails every few seconds while its receiver is away; one line a minute is enough. */
const PROBLEM_LOG_INTERVAL_MS = 60_000

/** Creates spans in this worker and sends them. */
export class Telemetry {
  readonly tracing: Tracing
  readonly #packages: OtelPackages
  readonly #provider: TracerProvider

  /**
   * @param identity of this worker
   * @throws StartupError when packages are missing
   */
  constructor(config: Config, identity: { slot: number; generation: number }, log: Logger) {
    const packages = loadOtelPackages(config.app!, config.telemetry!.protocol)
    this.#packages = packages
    logProblems(packages.api, log)
    // A module that NODE_OPTIONS loads may have set up the SDK in its own way.
    const own = registeredProvider(packages.api)
    this.#provider = own ?? registerProvider(packages, config.app!, identity)
    this.tracing = new Tracing(packages)
    traceLines(() => this.tracing.activeFields())
    if (identity.slot === 0)
      log.info({ protocol: config.telemetry!.protocol, ownSdk: own !== undefined }, 'telemetry on')
  }

  /** Makes spans of the commands of a connection. */
  traceRedis(redis: RedisConnection): void {
    traceRedis({ api: this.#packages.api, tracing: this.tracing, redis })
  }

  /** Sends all spans that are left. Resolves after two seconds at the latest. */
  async end(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FLUSH_MS)
    })
    await Promise.race([this.#provider.forceFlush().catch(() => {}), timeout])
    clearTimeout(timer)
  }
}

/** @returns the provider that other code of this process has registered; undefined when there is none */
function registeredProvider(api: OpenTelemetry): TracerProvider | undefined {
  const provider = api.trace.getTracerProvider() as InstanceType<OpenTelemetry['ProxyTracerProvider']>
  if (!provider.getDelegateTracer('muster')) return undefined
  const delegate = provider.getDelegate() as unknown as Partial<TracerProvider>
  return { register: () => {}, shutdown: async () => {}, forceFlush: async () => delegate.forceFlush?.() }
}

function registerProvider(
  { sdk, resources, OTLPTraceExporter }: OtelPackages,
  appPath: string,
  { slot, generation }: { slot: number; generation: number }
): TracerProvider {
  const { name = 'muster', version } = nearestPackage(appPath) ?? {}
  const own = resources.resourceFromAttributes({
    'service.name': name,
    ...(version && { 'service.version': version }),
    'service.instance.id': `${hostname()}-${process.pid}`,
    'host.name': hostname(),
    'process.pid': process.pid,
    'muster.slot': slot,
    'muster.generation': generation
  })
  // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
  const ofEnvironment = resources.detectResources({ detectors: [resources.envDetector] })
  const provider = new sdk.NodeTracerProvider({
    resource: resources.defaultResource().merge(own).merge(ofEnvironment),
    spanProcessors: [new sdk.BatchSpanProcessor(new OTLPTraceExporter())]
  })
  provider.register()
  return provider
}

function logProblems({ diag, DiagLogLevel }: OpenTelemetry, log: Logger): void {
  let quietUntil = 0
  const report = (message: string) => {
    if (performance.now() < quietUntil) return
    quietUntil = performance.now() + PROBLEM_LOG_INTERVAL_MS
    log.warn({ why: message.slice(0, 500) }, 'telemetry problem')
  }
  const ignore = () => {}
  diag.setLogger(
    { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true }
  )
}
