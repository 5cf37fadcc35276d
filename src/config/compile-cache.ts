import * as module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where what can be made again is kept. */
export const cacheDirOf = ({ XDG_CACHE_HOME }: NodeJS.ProcessEnv): string =>
  join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'muster')

/**
 * Code that was compiled once is kept, for the workers that come after: they are ready sooner. Since Node 22.1; where the
 * folder cannot be written, node goes on without. Not under coverage, which is less precise with it, as node's
 * documentation says. Read here and not by config.ts, which it is to speed up.
 */
export function keepCompiledCode(environment: NodeJS.ProcessEnv = process.env): void {
  const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown }
  if (environment.NODE_V8_COVERAGE || environment.NODE_COMPILE_CACHE) return
  enableCompileCache?.(join(cacheDirOf(environment), 'compiled'))
}
