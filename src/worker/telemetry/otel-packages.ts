import { createRequire } from 'node:module'
import { StartupError } from '../../common/errors.ts'
import type { TracingPackages } from '../../http/plugins/tracing/tracing.ts'

/** The packages, with the parts that are used of those that bring no types here. */
export interface OtelPackages extends TracingPackages {
  sdk: {
    NodeTracerProvider: new (options: object) => TracerProvider
    BatchSpanProcessor: new (exporter: object) => object
  }
  resources: {
    defaultResource(): Resource
    resourceFromAttributes(attributes: object): Resource
    detectResources(options: object): Resource
    envDetector: object
  }
  OTLPTraceExporter: new () => object
}

export interface TracerProvider {
  register(): void
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}

interface Resource {
  merge(stronger: Resource): Resource
}

const EXPORTERS: Readonly<Record<string, string>> = {
  'http/json': '@opentelemetry/exporter-trace-otlp-http',
  'http/protobuf': '@opentelemetry/exporter-trace-otlp-proto'
}
const API = '@opentelemetry/api'
const SDK = '@opentelemetry/sdk-trace-node'
const PLUGIN = '@fastify/otel'
/** The last versions that work together and run on Node 20. @fastify/otel does not support version 3 of the SDK yet. */
const VERSIONS: Readonly<Record<string, string>> = {
  [API]: '1.9',
  [SDK]: '2',
  [PLUGIN]: '0.21',
  [EXPORTERS['http/json']!]: '0.223',
  [EXPORTERS['http/protobuf']!]: '0.223'
}

/**
 * Loads the packages of OpenTelemetry from where the app would load them.
 * @param appPath path of the module of the app
 * @param protocol as in OTEL_EXPORTER_OTLP_PROTOCOL
 * @throws StartupError that names all missing packages, and how to install them
 */
export function loadOtelPackages(appPath: string, protocol: string): OtelPackages {
  const requireFromApp = createRequire(appPath)
  const missing: string[] = []
  const load = <Package>(name: string): Package => {
    try {
      return requireFromApp(name) as Package
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
      missing.push(name)
      return {} as Package
    }
  }
  const packages = {
    api: load<OtelPackages['api']>(API),
    sdk: load<OtelPackages['sdk']>(SDK),
    ...load<Pick<OtelPackages, 'FastifyOtelInstrumentation'>>(PLUGIN),
    ...load<Pick<OtelPackages, 'OTLPTraceExporter'>>(EXPORTERS[protocol]!)
  }
  if (missing.length > 0) {
    const install = missing.map((name) => `${name}@${VERSIONS[name]}`).join(' ')
    throw new StartupError(
      `TELEMETRY=otlp needs packages that the app does not have: run \`npm install ${install}\`, or unset TELEMETRY`
    )
  }
  // A dependency of the SDK, which the app need not have itself.
  const resources = createRequire(requireFromApp.resolve(SDK))('@opentelemetry/resources') as OtelPackages['resources']
  return { ...packages, resources }
}
