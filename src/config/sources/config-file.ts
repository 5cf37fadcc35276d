import { existsSync, readFileSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { StartupError } from '../../common/errors.ts'
import { nearestName } from '../../common/nearest.ts'
import { environmentSchema, type Variables } from '../environment-schema.ts'
import { findLoader, NO_LOADER } from '../typescript.ts'

const EXTENSIONS = ['ts', 'mts', 'js', 'mjs', 'cjs', 'json']

/** `redisUrl` for REDIS_URL. */
type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<Camel<Tail>>}`
  : Lowercase<Name>

/** A list can be an array. Numbers may be given where the variable is a text that contains one. */
type Value<V> = string extends V ? string | number | readonly string[] : V

/**
 * Every variable by its name in camel case: `port`, `redisUrl`, `sessionIdle`. `.env.example` describes them; durations are in
 * ms. A variable in the environment, or a flag, replaces the value here.
 */
export type Settings = { [Name in keyof Variables as Camel<Name>]?: Value<NonNullable<Variables[Name]>> }

const NAMES = new Map(
  Object.keys(environmentSchema.properties).map((name) => [
    name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
    name
  ])
)

/** Settings as texts by the names of their variables, and the options of the service around the app. */
export interface ReadSettings {
  variables: Record<string, string>
  /** `service`; checked by the worker. */
  service: unknown
}

/** @returns the path of the config file of a folder, undefined when there is none @throws StartupError when there are two */
export function findConfigFile(folder: string): string | undefined {
  const found = EXTENSIONS.map((extension) => join(folder, `muster.config.${extension}`)).filter(existsSync)
  if (found.length > 1) throw new StartupError(`there are two config files, keep one: ${found.join(', ')}`)
  return found[0]
}

/**
 * Loads a config file: its default export, or the content of JSON.
 * @throws StartupError when the file does not exist, cannot be loaded, or contains something else than settings
 */
export async function readConfigFile(path: string): Promise<ReadSettings> {
  const file = resolve(path)
  if (!existsSync(file)) throw new StartupError(`the config file ${file} does not exist`)
  try {
    return toVariables(
      extname(file) === '.json' ? JSON.parse(readFileSync(file, 'utf8')) : await importFile(file),
      file
    )
  } catch (error) {
    if (error instanceof StartupError) throw error
    throw new StartupError(`the config file ${file} cannot be loaded: ${(error as Error).message}`)
  }
}

async function importFile(file: string): Promise<unknown> {
  const { href } = pathToFileURL(file)
  const loader = findLoader(file)
  if (loader.kind === 'missing') throw new StartupError(`${file}: ${NO_LOADER}`)
  if (loader.kind === 'node') return ((await import(href)) as { default?: unknown }).default
  const { tsImport } = (await import(new URL('./esm/api/index.mjs', loader.url).href)) as {
    tsImport(url: string, parent: string): Promise<{ default?: unknown }>
  }
  const exported = (await tsImport(href, import.meta.url)).default
  // In a CommonJS package, tsx gives the exports of the module one level deeper.
  return (exported as { default?: unknown } | undefined)?.default ?? exported
}

/**
 * Turns settings into texts by the names of variables.
 * @param origin for messages
 * @throws StartupError that names all unknown keys and wrong values
 */
export function toVariables(settings: unknown, origin: string): ReadSettings {
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw new StartupError(`${origin}: must export an object of settings, not ${describe(settings)}`)
  }
  const { service, ...rest } = settings as Record<string, unknown>
  const variables: Record<string, string> = {}
  const issues: string[] = []
  for (const [key, value] of Object.entries(rest)) {
    const name = NAMES.get(key)
    const text = textOf(value)
    if (name === undefined) issues.push(`${key}: unknown setting${suggestion(key)}`)
    else if (text === undefined)
      issues.push(`${key}: must be a text, a number or a list of texts, not ${describe(value)}`)
    else if (text !== '') variables[name] = text
  }
  if (issues.length > 0) throw new StartupError(`${origin}:\n${issues.map((issue) => `  - ${issue}`).join('\n')}`)
  return { variables, service }
}

function suggestion(key: string): string {
  const nearest = nearestName(key, [...NAMES.keys(), 'service'])
  return nearest ? `, did you mean ${nearest}?` : ''
}

/** @returns an empty text for a setting that is not set; undefined for a value that cannot be one */
function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value.join(',') : undefined
}

const describe = (value: unknown) => (value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value)))
