import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The source folder of the suite, where the apps and their packages are. */
export const FOLDER = fileURLToPath(new URL('../../../test/compat/', import.meta.url))

/** Loads a package that is installed for the cases. */
export const requireInstalled = createRequire(join(FOLDER, 'package.json'))

/** The TypeScript compiler of the project. */
export const TSC = join(FOLDER, '..', '..', 'node_modules', 'typescript', 'bin', 'tsc')
