import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileModule } from '../helpers/compile.ts'
import { type Block, blocksOf, ROOT, readPage } from '../helpers/documents.ts'
import { asModule } from '../helpers/fragments.ts'

const PAGE = 'docs/reference/app-api.md'
const text = readPage(PAGE)
const blocks = blocksOf(PAGE)
/** What the service itself needs of these classes. Apps have no use for it. */
const INTERNAL: Record<string, string[]> = {
  Counter: ['onBatch'],
  'app.shared.settings': ['version', 'revision', 'parse', 'schemas', 'read', 'check']
}
/** The types behind the first words of signatures. */
const ROOTS: Record<string, string> = { app: 'FastifyInstance', request: 'FastifyRequest', Cache: 'Cache<V>' }

interface Signature {
  /** For example `app.shared`. */
  owner: string
  name: string
  type: string
}

/** Reads lines such as `app.shared.counter(name: string): Counter`. */
function signaturesIn({ code }: Block): Signature[] {
  return code
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, owner = '', name = '', generics = '', parameters, result = ''] =
        /^([\w.]+)\.(\w+)\??(<[^(]*>)?(?:\((.*)\))?: (.+)$/.exec(line) ?? []
      assert.ok(name, `no signature: ${line}`)
      return { owner, name, type: parameters === undefined ? result : `${generics}(${parameters}) => ${result}` }
    })
}

const signatures = blocks.filter(({ language }) => language === 'ts').flatMap(signaturesIn)

/** The TypeScript type of `app.shared` and the like. */
function typeOf(owner: string): string {
  const [root = '', ...members] = owner.split('.')
  return `${ROOTS[root] ?? root}${members.map((name) => `['${name}']`).join('')}`
}

/** Calls that compile only if each signature, and the list of all members, is that of the code. */
function checks(): string {
  const lines: string[] = []
  for (const owner of new Set(signatures.map((one) => one.owner))) {
    const members = signatures.filter((one) => one.owner === owner)
    const names = [...new Set(members.map(({ name }) => name))]
    const nested = signatures
      .filter((one) => one.owner.startsWith(`${owner}.`))
      .map((one) => one.owner.split('.').at(-1)!)
    const all = [...new Set([...names, ...nested, ...(INTERNAL[owner] ?? [])])].map((name) => `'${name}'`).join(' | ')
    if (owner !== 'app' && owner !== 'request') lines.push(`is<Same<keyof ${typeOf(owner)}, ${all}>>(true)`)
    for (const name of names) {
      const types = members.filter((one) => one.name === name).map(({ type }) => `(${type})`)
      // Of an optional member, the page has the type without undefined.
      lines.push(`is<Alike<Present<${typeOf(owner)}['${name}']>, ${types.join(' & ')}>>(true)`)
    }
  }
  return `export function check<V>() {\n${lines.join('\n')}\n}`
}

const TYPES = `
import type { Registry } from 'prom-client'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Schema, Static } from '../../src/common/json-schema.js'
import type { GetState, RequestSession, WorkerInfo } from '../../src/index.js'
import type { Ack, ServiceView, SessionView, WorkerRequestCount } from '../../src/ipc/messages.js'
import type { LeaseGrant } from '../../src/state/locks/lease.js'
import type { PeriodicRun } from '../../src/state/locks/lease-runs.js'
import type { Every } from '../../src/state/locks/periodic-runs.js'
import type { RedisClient } from '../../src/state/redis/redis-client.js'
import type { BroadcastHandler, BroadcastOptions, BroadcastResult } from '../../src/state/shared/broadcast.js'
import type { Cache, CacheOptions } from '../../src/state/shared/cache.js'
import type { Counter } from '../../src/state/shared/counters.js'
import type { ValueOf } from '../../src/state/shared/service-settings.js'

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
type Present<T> = unknown extends T ? T : NonNullable<T>
type ParametersOf<F> = F extends (...args: infer P) => unknown ? P : []
type Alike<A, B> = Same<A, B> extends true ? Same<Required<ParametersOf<A>>['length'], Required<ParametersOf<B>>['length']> : false
declare function is<T extends true>(value: T): void
`

test('the signatures of the app API are those of the code, and no member is missing', () => {
  assert.equal(compileModule('signatures', `${TYPES}${checks()}`), '')
})

test('a wrong signature and a member that does not exist would be found', () => {
  const wrong = `${TYPES}is<Alike<FastifyInstance['shared']['counter'], (name: number) => Counter>>(true)
    is<Alike<FastifyInstance['shared']['lock'], (name: string) => Promise<number>>>(true)
    is<Same<keyof Every, 'stop' | 'start'>>(true)`
  assert.equal(compileModule('wrong', wrong).match(/error TS/g)?.length, 3)
})

test('every decorator and every option of a route in src/http/public-types.ts is on the page, and nothing else is', () => {
  const types = readFileSync(join(ROOT, 'src/http/public-types.ts'), 'utf8')
  const membersOf = (head: string) => {
    const [, body = ''] = new RegExp(`interface ${head}[^{]*\\{\\n(.*?)^ *\\}\\n`, 'ms').exec(types) ?? []
    return [...body.matchAll(/^ +(\w+)\??: /gm)].map(([, name]) => name)
  }
  const decorators = [...membersOf('FastifyInstance extends'), ...membersOf('WithRedis'), 'shared', 'sessions']
  const documented = signatures.filter(({ owner }) => owner === 'app').map(({ name }) => name)
  assert.deepEqual([...new Set([...documented, 'shared', 'sessions'])].sort(), [...new Set(decorators)].sort())
  const options = [...text.matchAll(/^\| `(\w+): (?!\{ … )/gm)].map(([, name]) => name)
  assert.deepEqual(options.sort(), membersOf('FastifyContextConfig').sort())
})

test('each entry of the page has an example, and each code of an error is thrown somewhere', () => {
  for (const section of text.split(/^### /m).slice(1)) {
    const title = section.split('\n', 1)[0]
    if (title !== 'app.signInLimit') assert.match(section, /^```js$/m, title)
  }
  const sources = execFileSync('grep', ['-rhoE', "'[A-Z_]{4,}'", join(ROOT, 'src')], { encoding: 'utf8' })
  for (const [, code] of text.matchAll(/`([A-Z]+_[A-Z_]+)` \(?\d{3}/g)) assert.ok(sources.includes(`'${code}'`), code)
})

test('the examples of the page compile', () => {
  const modules = blocks.filter(({ language }) => language === 'js').map(({ code }) => asModule(code))
  const [imports = ''] = modules[0]!.split('export default')
  const plugins = modules.map((code, i) =>
    code
      .slice(code.indexOf('export default'))
      .replace('export default async (app)', `export const example${i} = async (app: App)`)
      .replace(/\((_\w+(?:, _\w+)*)\) =>/g, untyped)
  )
  assert.equal(compileModule('examples', `${APP}${imports}${plugins.join('\n')}`), '')
})

/** Gives the parameters of what stands for the reader's own code any type. */
const untyped = (_: string, names: string) => `(${names.replaceAll(/_\w+/g, '$&?: any')}) =>`

/** Bodies and parameters have any type, as in JavaScript; what the service adds has its own types. */
const APP = `
import type {} from '../../src/index.js'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'
type Handler = (request: FastifyRequest & { params: any; body: any }, reply: FastifyReply) => unknown
type Route = (path: string, ...rest: [Handler] | [RouteShorthandOptions, Handler]) => void
type SocketRoute = (path: string, options: { websocket: true }, handle: (socket: any, request: any) => unknown) => void
type App = Omit<FastifyInstance, 'get' | 'post'> & { get: SocketRoute & Route; post: Route }
declare module 'fastify' { interface Session { cart?: unknown[] } }
`
