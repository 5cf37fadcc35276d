import { http } from '../../common/node-http.ts'

/** What an app can be. Every kind but `plugin` is mounted: it gets requests as Node made them. */
export type AppKind = 'plugin' | 'fastify' | 'nest' | 'express' | 'koa' | 'fetch' | 'server' | 'listener'

type Members = Record<string, unknown>

/**
 * The first two parameters of a function as its source names them. A Fastify plugin has the same number of parameters as a
 * listener, so only their names can tell.
 */
const LISTENER_PARAMETERS =
  /^(?:async\s+)?(?:function\b[^(]*|[\w$]+\s*)?\(\s*_?(?:req|request)\s*,\s*_?(?:res|response)\s*[,)]/

/**
 * Tells what a module exports as its app. Objects are told by the methods that only their framework gives them. A function is a
 * plugin unless it has the methods of Express or its parameters are named `(req, res)` or `(request, response)`.
 * @returns undefined when it is nothing that can be served
 */
export function kindOf(value: unknown): AppKind | undefined {
  if (typeof value === 'function') {
    if (has(value, 'handle', 'listen')) return 'express'
    const source = Function.prototype.toString.call(value)
    if (/^class\b/.test(source)) return undefined
    return LISTENER_PARAMETERS.test(source) ? 'listener' : 'plugin'
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (value instanceof http.Server) return 'server'
  if (has(value, 'getHttpAdapter', 'init')) return 'nest'
  if (has(value, 'inject', 'ready', 'routing')) return 'fastify'
  if (has(value, 'callback', 'listen')) return 'koa'
  if (has(value, 'fetch')) return 'fetch'
  return undefined
}

const has = (value: object, ...methods: string[]) =>
  methods.every((name) => typeof (value as Members)[name] === 'function')
