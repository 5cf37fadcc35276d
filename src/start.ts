import { lstatSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadModule } from './config/code-loading.ts'
import type { Settings } from './config/sources/config-file.ts'
import type { Origins, Sources } from './config/sources/gather-environment.ts'
import type { AppOptions } from './http/app-options.ts'
import type { DevelopmentOptions, Service } from './primary/service-types.ts'
import type { Succession } from './primary/upgrade/succession.ts'

/** What `muster.config.*` contains, and what {@link start} takes. */
export interface StartOptions extends Settings {
  /** What the service adds to the app. `export const muster` of the app itself is stronger, key by key. */
  service?: AppOptions
}

/** Returns the options as they are: `export default defineConfig({ … })` in `muster.config.ts` gets types. */
export const defineConfig = (options: StartOptions): StartOptions => options

/**
 * Turns this process into the primary of a service, as `muster start` does, with `options` in place of the config file. Workers
 * do not run this program: they load `options.app`. The process ends when the service ends.
 * @returns the service, when all its workers are ready
 * @throws StartupError with the text that the command prints
 */
export async function start(options: StartOptions): Promise<Service> {
  const { toVariables } = await import('./config/sources/config-file.ts')
  const service = await runService({ settings: toVariables(options, 'start()') })
  await service.ready
  return service
}

/**
 * Starts the service of `muster start`.
 * @param development what `muster dev` adds
 * @throws StartupError when it cannot start, UsageError when two apps are named
 */
export async function runService(sources: Sources, development?: DevelopmentOptions): Promise<Service> {
  const [{ gatherEnvironment }, { launchOptions, takeSuccessorRole }] = await Promise.all([
    import('./config/sources/gather-environment.ts'),
    import('./config/sources/successor-environment.ts')
  ])
  const succession = takeSuccessorRole() ? await receiveSuccession() : undefined
  const launch = launchOptions()
  try {
    const overrides = succession?.inheritance.overrides
    const origins: Origins = await gatherEnvironment({ ...sources, ...(overrides && { overrides }) })
    const { loadConfig } = await loadModule<typeof import('./config/load.ts')>('config/load.js')
    const { runPrimary } = await loadModule<typeof import('./primary/primary.ts')>('primary/primary.js')
    const config = loadConfig(undefined, { origins, needsApp: true })
    return await runPrimary(config, workerEntry(), { development, launch, succession })
  } catch (error) {
    await succession?.refuse((error as Error).message)
    throw error
  }
}

/** Waits for what the primary passes on that this process replaces. @throws StartupError when it cannot be replaced */
async function receiveSuccession(): Promise<Succession> {
  const { Succession } = await import('./primary/upgrade/succession.ts')
  const { version } = createRequire(import.meta.url)('muster-serve/package.json') as { version: string }
  return Succession.receive(version)
}

/**
 * The module that workers start with. Where this process runs the command of the package, its path is that of the command, with
 * links to folders unresolved: a deploy that swaps a link then also changes the code of the service.
 */
function workerEntry(): string {
  const own = fileURLToPath(import.meta.url)
  const entry = `main${extname(own)}`
  const command = resolveLink(process.argv[1] ?? '')
  const isCommand = basename(dirname(command)) === 'cli' && basename(command) === `muster${extname(own)}`
  return isCommand ? join(dirname(command), '..', entry) : join(dirname(own), entry)
}

/** Follows a link of npm in `node_modules/.bin` to the file of the command. Links to folders stay. */
function resolveLink(path: string): string {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()
    ? resolve(dirname(path), readlinkSync(path))
    : path
}
