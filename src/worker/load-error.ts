import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** As Node shows where a syntax error is: the file and line, some source lines, and a caret below the error. */
const SHOWN = /^((?:file:\/\/|\/).+):(\d+)\n(?:.*\n){0,3}?(.*)\n([ \t]*)\^/m
const NODE_FRAME = /^ +at (?:.* \()?node:.*$\n?/gm
const SHOW_TIMEOUT_MS = 5000

/** The stack of an error without the frames of Node itself, which do not help to find what is wrong. */
export function stackOf(error: unknown): string {
  const { stack } = error as { stack?: unknown }
  return typeof stack === 'string' ? stack.replace(NODE_FRAME, '').trimEnd() : String(error)
}

/**
 * Describes a syntax error in a module, or in one that it imports: the file, line and column, the message, and the source
 * line with a caret below the error. Where Node does not tell the place, as in JSON: the message.
 */
export async function describeSyntaxError(error: SyntaxError, module: URL): Promise<string> {
  const shown = SHOWN.exec(error.stack ?? '') ?? SHOWN.exec(await showByNode(module))
  if (!shown) return stackOf(error)
  const [, file = '', line, source, indent = ''] = shown
  const path = file.startsWith('file:') ? fileURLToPath(file) : file
  return `${path}:${line}:${indent.length + 1}: SyntaxError: ${error.message}\n${source}\n${indent}^`
}

/**
 * What Node prints about a module that it cannot load. The error of an ES module says nowhere where it is: Node shows it
 * only where nobody catches the error. So a process of its own loads the module and all that it imports. No code of them
 * runs there: the first module of the graph ends the process.
 */
function showByNode(module: URL): Promise<string> {
  const script = `import 'data:text/javascript,process.exit()'; import ${JSON.stringify(module.href)}`
  const args = [...process.execArgv, '--input-type=module', '--eval', script]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: SHOW_TIMEOUT_MS }, (_error, _stdout, stderr) => resolve(stderr))
  })
}
