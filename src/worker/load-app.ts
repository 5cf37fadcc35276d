import { execFile } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { FastifyPluginAsync, FastifyServerOptions } from 'fastify'
import { StartupError } from '../common/errors.ts'
import type { ServedApp } from '../http/app.ts'
import type { AppOptions } from '../http/app-options.ts'

/** The place of a syntax error as Node prints it: file and line, some source lines, and a caret below the error. */
const SYNTAX_ERROR_PLACE = /^((?:file:\/\/|\/).+):(\d+)\n(?:.*\n){0,3}?(.*)\n([ \t]*)\^/m
const NODE_FRAME = /^ +at (?:.* \()?node:.*$\n?/gm
const FIND_PLACE_TIMEOUT_MS = 5000

/**
 * Loads the app that is served.
 * @param path of the module that APP names; undefined for the example's routes
 * @throws StartupError when the module has a syntax error or its default export is not a function
 */
export async function loadApp(path: string | undefined): Promise<ServedApp> {
  if (!path) {
    const example = await import('../routes/index.ts')
    return { plugin: example.default, serverOptions: example.options, options: {} }
  }
  const url = pathToFileURL(path)
  const module = (await import(url.href).catch(async (error: unknown) => {
    if (!(error instanceof SyntaxError)) throw error
    throw new StartupError(`APP cannot be loaded: ${await describeSyntaxError(error, url)}`)
  })) as { default?: unknown; options?: FastifyServerOptions; muster?: AppOptions }
  // A CommonJS module compiled from `export default` has the plugin one level deeper.
  const plugin =
    typeof module.default === 'function' ? module.default : (module.default as { default?: unknown })?.default
  if (typeof plugin === 'function') {
    const { options: serverOptions = {}, muster: options = {} } = module
    return { plugin: plugin as FastifyPluginAsync, serverOptions, options }
  }
  throw new StartupError(`APP: the default export of ${path} is no Fastify plugin, but ${typeof module.default}`)
}

/** @returns the stack of an error without the frames of Node itself, which do not help to find the cause */
export function stackOf(error: unknown): string {
  const { stack } = error as { stack?: unknown }
  return typeof stack === 'string' ? stack.replace(NODE_FRAME, '').trimEnd() : String(error)
}

/**
 * Describes a syntax error in a module or in one that it imports: file, line and column, message, and the source line with a
 * caret below the error. Where Node does not know the place, as in JSON, the message alone.
 */
async function describeSyntaxError(error: SyntaxError, module: URL): Promise<string> {
  const place = SYNTAX_ERROR_PLACE.exec(error.stack ?? '') ?? SYNTAX_ERROR_PLACE.exec(await printedByNode(module))
  if (!place) return stackOf(error)
  const [, file = '', line, source, indent = ''] = place
  const path = file.startsWith('file:') ? fileURLToPath(file) : file
  return `${path}:${line}:${indent.length + 1}: SyntaxError: ${error.message}\n${source}\n${indent}^`
}

/**
 * Returns what Node prints about a module that it cannot load. The error object of an ES module does not contain the place;
 * Node prints it only for an error that is not caught. So another process loads the module and all that it imports, without
 * running code of them: the first module of the graph ends the process.
 */
function printedByNode(module: URL): Promise<string> {
  const script = `import 'data:text/javascript,process.exit()'; import ${JSON.stringify(module.href)}`
  const args = [...process.execArgv, '--input-type=module', '--eval', script]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: FIND_PLACE_TIMEOUT_MS }, (_error, _stdout, stderr) => resolve(stderr))
  })
}
