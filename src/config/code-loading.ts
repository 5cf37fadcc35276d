import * as module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

const require = module.createRequire(import.meta.url)

/** The folder for files that can be created again. */
export const cacheDirOf = ({ XDG_CACHE_HOME }: NodeJS.ProcessEnv): string =>
  join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'muster')

/** Whether Node collects coverage in this process, for a test runner. */
export const collectsCoverage = ({ NODE_V8_COVERAGE }: NodeJS.ProcessEnv = process.env): boolean =>
  Boolean(NODE_V8_COVERAGE)

/**
 * Enables Node's compile cache (Node 22.1 and newer), so that later workers are ready sooner. Without a writable folder Node
 * works without it. Coverage is less precise with a compile cache, as Node documents, so it stays off then. This module reads
 * the environment itself because loading the configuration is to be faster too.
 */
export function keepCompiledCode(environment: NodeJS.ProcessEnv = process.env): void {
  const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown }
  if (collectsCoverage(environment) || environment.NODE_COMPILE_CACHE) return
  enableCompileCache?.(join(cacheDirOf(environment), 'compiled'))
}

/**
 * On Node 20, `import()` reads every file in several steps of a thread pool, and `require` reads it at once. Hooks of
 * module.register() see only what is imported, so modules are imported where a flag may have registered some.
 */
const isRequireFaster =
  process.versions.node.startsWith('20.') &&
  (process.features as { require_module?: boolean }).require_module === true &&
  !/(^|\s)(-r|--require|--import|--(experimental-)?loader)\b/.test(
    [...process.execArgv, process.env.NODE_OPTIONS].join(' ')
  )

/**
 * Loads an ES module of this package and all that it imports, the faster way: a worker is ready 11 % sooner on Node 20
 * (docs/explanation/performance.md). Both ways lead to the same instances. No module that is loaded like this may have a top-level
 * await: Node 20 then throws ERR_REQUIRE_ASYNC_MODULE.
 * @param path below `src`, with the extension of the compiled file
 */
export async function loadModule<Module>(path: string): Promise<Module> {
  return (isRequireFaster ? require(`../${path}`) : await import(`../${path}`)) as Module
}
