import { existsSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseEnv } from 'node:util'
import { StartupError } from '../../common/errors.ts'
import { environmentSchema } from '../environment-schema.ts'
import { SERVICE_OPTIONS } from '../worker-environment.ts'
import { findConfigFile, type ReadSettings, readConfigFile } from './config-file.ts'
import { flagOf, type StartFlags, UsageError } from './flags.ts'

/** Where a variable of the schema got its value, if not from the environment: for messages. */
export type Origins = ReadonlyMap<string, string>

/** @returns a copy of the variables of this process, for code outside this folder */
export const copyEnvironment = (): NodeJS.ProcessEnv => ({ ...process.env })

/** Values of one source, by the names of variables. */
interface Layer {
  values: Readonly<Record<string, string | undefined>>
  origin: (variable: string) => string
}

export interface Sources extends Partial<StartFlags> {
  /** Stronger than everything else: what `muster upgrade --env-file` has changed. By the names of variables. */
  overrides?: Readonly<Record<string, string>>
  /** Used in place of a config file. */
  settings?: ReadSettings
}

/**
 * Adds to the environment of this process what flags, env files and the config file say. Workers inherit it, and so does the
 * app. Flags are stronger than the environment, the environment is stronger than env files, and these are stronger than the
 * config file. An empty variable counts as unset.
 * @param folder contains the files that are read when none are named
 * @throws StartupError when a file does not exist or cannot be read; UsageError when two apps are named
 */
export async function gatherEnvironment(
  { app, variables = {}, envFiles, configFile, settings, overrides = {} }: Sources,
  environment: NodeJS.ProcessEnv = process.env,
  folder = process.cwd()
): Promise<Origins> {
  if (app !== undefined && variables.APP !== undefined && app !== variables.APP) {
    throw new UsageError(`one app is served, not two: ${app}, and --app ${variables.APP}`)
  }
  const origins = new Map<string, string>()
  const add = ({ values, origin }: Layer, replaces: boolean) => {
    for (const [name, value] of Object.entries(values)) {
      const isSetting = name in environmentSchema.properties
      const isSet = isSetting ? Boolean(environment[name]) : environment[name] !== undefined
      if (value === undefined || (isSet && !replaces)) continue
      environment[name] = value
      if (isSetting) origins.set(name, origin(name))
    }
  }
  add({ values: variables, origin: flagOf }, true)
  if (app !== undefined) add({ values: { APP: app }, origin: () => 'the argument of muster start' }, true)
  add({ values: overrides, origin: () => 'the env file of muster upgrade' }, true)
  for (const layer of readEnvFiles(envFiles, folder)) add(layer, false)
  const path = settings ? 'start()' : (configFile ?? findConfigFile(folder))
  if (path === undefined) return origins
  const { variables: values, service } = settings ?? (await readConfigFile(path))
  add({ values, origin: () => path }, false)
  if (service !== undefined) environment[SERVICE_OPTIONS] = JSON.stringify(service)
  return origins
}

/** @param files undefined: `.env` of the folder, if there is one @returns the strongest first: a later file is stronger than an earlier one */
function readEnvFiles(files: readonly string[] | undefined, folder: string): Layer[] {
  const file = join(folder, '.env')
  const named = files ?? (existsSync(file) ? [relative('', file)] : [])
  return named.map((file) => ({ values: readEnvFile(file), origin: () => file })).reverse()
}

/** @throws StartupError */
export function readEnvFile(file: string): Layer['values'] {
  try {
    return parseEnv(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new StartupError(`the env file ${file} cannot be read: ${(error as Error).message}`)
  }
}
