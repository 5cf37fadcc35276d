import * as module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The folder for files that can be created again. */
export const cacheDirOf = ({ XDG_CACHE_HOME }: NodeJS.ProcessEnv): string =>
  join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'muster')

/**
 * Enables Node's compile cache (Node 22.1 and newer), so that later workers are ready sooner. Without a writable folder Node
 * works without it. Coverage is less precise with a compile cache, as Node documents, so it stays off then. This module reads
 * the environment itself because loading the configuration is to be faster too.
 */
export function keepCompiledCode(environment: NodeJS.ProcessEnv = process.env): void {
  const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown }
  if (environment.NODE_V8_COVERAGE || environment.NODE_COMPILE_CACHE) return
  enableCompileCache?.(join(cacheDirOf(environment), 'compiled'))
}
