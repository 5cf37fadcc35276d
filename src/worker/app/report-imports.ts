import { statSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { fileURLToPath } from 'node:url'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'

/** When files were modified last, in ms, by path. 0: the file does not exist. */
export type Imports = Record<string, number>

interface Resolved {
  url: string
}
type Resolve = (specifier: string, context: { parentURL?: string }) => Resolved
interface Hooks {
  /** Since Node 22.15. Its hooks see `require` too. */
  registerHooks?: (hooks: {
    resolve: (specifier: string, context: { parentURL?: string }, next: Resolve) => Resolved
  }) => void
}

const REPORT_MS = 20
/**
 * The hooks of older versions of Node, which run in a thread of their own. They do not see `require`; what was required is in
 * its cache. They read the time of a file before the module is loaded, so that a later change is noticed.
 */
const THREAD_HOOKS = `import { statSync } from 'node:fs'
let port
export const initialize = (data) => { port = data.port }
const post = (url) => {
  if (URL.canParse(url)) port.postMessage([url, statSync(new URL(url.split('?')[0]), { throwIfNoEntry: false })?.mtimeMs ?? 0])
}
export async function resolve(specifier, context, next) {
  const isPath = /^(\\.|\\/|file:)/.test(specifier)
  try {
    const found = await next(specifier, context)
    if (found.url.startsWith('file:')) post(found.url)
    return found
  } catch (error) {
    if (isPath && context.parentURL?.startsWith('file:')) post(new URL(specifier, context.parentURL).href)
    throw error
  }
}`

/**
 * Reports the files of all modules that are loaded from now on, except those in `node_modules`. A file that an import names
 * and that does not exist is reported too.
 * @returns a function that reports at once what is not yet reported
 */
export function reportImports(report: (files: Imports) => void): () => void {
  const known = new Set<string>()
  let waiting: Imports = {}
  let timer: NodeJS.Timeout | undefined
  const add = (path: string, modifiedMs: number) => {
    if (known.has(path) || path.includes('/node_modules/')) return
    known.add(path)
    waiting[path] = modifiedMs
    timer ??= setTimeout(flush, REPORT_MS).unref()
  }
  const collect = hookInto(add)
  const flush = () => {
    collect()
    clearTimeout(timer)
    timer = undefined
    if (Object.keys(waiting).length > 0) report(waiting)
    waiting = {}
  }
  return flush
}

/** @returns a function that adds what the hooks could not add by themselves */
function hookInto(add: (path: string, modifiedMs: number) => void): () => void {
  const addUrl = (url: string) => {
    const path = fileURLToPath(url)
    add(path, modifiedMsOf(path))
  }
  const { registerHooks } = nodeModule as unknown as Hooks
  if (!registerHooks) return hookIntoThread(add)
  registerHooks({
    resolve(specifier, context, next) {
      try {
        const found = next(specifier, context)
        if (found.url.startsWith('file:')) addUrl(found.url)
        return found
      } catch (error) {
        const { parentURL = '' } = context
        if (/^(\.|\/|file:)/.test(specifier) && parentURL.startsWith('file:')) {
          addUrl(new URL(specifier, parentURL).href)
        }
        throw error
      }
    }
  })
  return () => {}
}

function hookIntoThread(add: (path: string, modifiedMs: number) => void): () => void {
  const { port1, port2 } = new MessageChannel()
  const take = ([url, modifiedMs]: [string, number]) => add(fileURLToPath(url), modifiedMs)
  nodeModule.register(`data:text/javascript,${encodeURIComponent(THREAD_HOOKS)}`, {
    data: { port: port2 },
    transferList: [port2]
  })
  const { cache } = nodeModule.createRequire(import.meta.url)
  // The modules of the service itself are no files of the app.
  const loadedBefore = new Set(Object.keys(cache))
  const addRequired = () => {
    for (const path of Object.keys(cache)) if (!loadedBefore.has(path)) add(path, modifiedMsOf(path))
  }
  port1.on('message', take)
  port1.unref()
  return () => {
    for (let next = receiveMessageOnPort(port1); next; next = receiveMessageOnPort(port1)) take(next.message)
    addRequired()
  }
}

const modifiedMsOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
