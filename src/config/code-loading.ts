import { existsSync } from 'node:fs'
import * as module from 'node:module'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'

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

/** A flag may have registered hooks, which expect each module at its own URL. */
const mayHaveHooks = /(^|\s)(-r|--require|--import|--(experimental-)?loader)\b/.test(
  [...process.execArgv, process.env.NODE_OPTIONS].join(' ')
)

/**
 * Loads an ES module of this package and all that it imports: from its bundle, which the build makes (scripts/bundle.mjs), or where there is
 * none, as under `npm run dev`, one by one. The npm package has bundles only. A worker is ready 15 % sooner with bundles, and the primary needs 7 MiB less (docs/explanation/performance.md).
 * @param path below `src`, with the extension of the compiled file
 */
export async function loadModule<Module>(path: string): Promise<Module> {
  const bundle = new URL(`../bundles/${basename(path)}`, import.meta.url)
  const module = new URL(`../${path}`, import.meta.url)
  const isBundled = existsSync(bundle) && !(mayHaveHooks && existsSync(module))
  return (await import((isBundled ? bundle : module).href)) as Module
}
