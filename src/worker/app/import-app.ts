import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { StartupError } from '../../common/errors.ts'

/** The place of a syntax error as Node prints it: file and line, some source lines, and a caret below the error. */
const SYNTAX_ERROR_PLACE = /^((?:file:\/\/|\/).+):(\d+)\n(?:.*\n){0,3}?(.*)\n([ \t]*)\^/m
const NODE_FRAME = /^ +at (?:.* \()?node:.*$\n?/gm
const FIND_PLACE_TIMEOUT_MS = 5000

/**
 * Imports the module of the app, which may be an ES module or CommonJS.
 * @throws StartupError that shows the place of a syntax error
 */
export async function importApp(path: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(path)
  // nodejs/node#51142: while the last file that was examined is a pipe or a socket, as the log often is, Node does not follow
  // symbolic links to packages, and then imports CommonJS as an empty object. pnpm and `npm link` make such links.
  statSync(path)
  try {
    return (await import(url.href)) as Record<string, unknown>
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new StartupError(`APP cannot be loaded: ${await describeSyntaxError(error, url)}`)
  }
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
