import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const IS_TYPESCRIPT = /\.[cm]?ts$/
/** Node runs TypeScript by itself since 22.18, unless a flag forbids it. */
const features = process.features as { typescript?: string | false }

/** How a module is loaded that may be TypeScript. */
export type Loader =
  /** By Node itself. */
  | { kind: 'node' }
  /** By tsx; `url` is what `--import` takes. */
  | { kind: 'tsx'; url: string }
  /** Not at all. */
  | { kind: 'missing' }

/**
 * Finds out how to load a module: TypeScript by Node itself where it can, else by tsx, if that is installed beside the module
 * or in the working directory.
 * @param flags of this process, which may name a loader already
 */
export function findLoader(file: string, flags: readonly string[] = process.execArgv): Loader {
  if (!IS_TYPESCRIPT.test(file) || features.typescript || flags.some((flag) => /\btsx\b/.test(flag)))
    return { kind: 'node' }
  for (const folder of [dirname(file), process.cwd()]) {
    try {
      return { kind: 'tsx', url: pathToFileURL(createRequire(join(folder, 'module.js')).resolve('tsx')).href }
    } catch {
      // Not installed there.
    }
  }
  return { kind: 'missing' }
}

/** The remedy for a module that has no loader. */
export const NO_LOADER = `Node ${process.versions.node} runs no TypeScript: install tsx (npm i -D tsx), or use Node 22.18 or newer`
