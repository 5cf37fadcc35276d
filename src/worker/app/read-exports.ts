import type { FastifyServerOptions } from 'fastify'
import type { AppOptions } from '../../http/app-options.ts'
import { kindOf } from './recognise.ts'

/** What a module says about its app. */
export interface Exports {
  /** The default export, or what its promise resolves to. */
  app: unknown
  /** `export const options`. */
  serverOptions: FastifyServerOptions | undefined
  /** `export const muster`. */
  options: AppOptions
}

type Members = Record<string, unknown>

/**
 * Reads the exports of an ES module, of CommonJS, or of CommonJS that was compiled from an ES module: that one has its default
 * export one level deeper.
 * @param namespace as `import()` gives it
 */
export async function readExports(namespace: Members): Promise<Exports> {
  const exported = namespace.default
  const compiled = isObject(exported) && kindOf(exported) === undefined ? exported : {}
  const app = await ('default' in compiled ? compiled.default : exported)
  const member = (name: string) => namespace[name] ?? compiled[name] ?? propertyOf(exported, name)
  return {
    app,
    serverOptions: member('options') as FastifyServerOptions | undefined,
    options: (member('muster') as AppOptions | undefined) ?? {}
  }
}

/** `module.exports` of a plugin in CommonJS is a function with properties. Methods of an app, such as `app.options`, are not meant. */
function propertyOf(exported: unknown, name: string): unknown {
  const value = typeof exported === 'function' ? (exported as unknown as Members)[name] : undefined
  return isObject(value) ? value : undefined
}

const isObject = (value: unknown): value is Members => typeof value === 'object' && value !== null
