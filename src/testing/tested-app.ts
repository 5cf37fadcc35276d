import { join } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'
import { type AppOptions, mergeOptions } from '../http/app-options.ts'
import type { ServedApp } from '../http/build-app.ts'
import { mountedApp } from '../worker/app/load-app.ts'
import { startMounted } from '../worker/app/mounted-app.ts'
import { readExports } from '../worker/app/read-exports.ts'
import { kindOf } from '../worker/app/recognise.ts'
import type { TestedApp } from './test-app-options.ts'

/** Recognises an app as a worker does when it has loaded its module. @throws TypeError when it is no app */
export async function readTestedApp(tested: TestedApp, service: AppOptions = {}): Promise<ServedApp> {
  const { app, serverOptions, options: own } = await readExports({ default: tested })
  const options = mergeOptions(service, own)
  const kind = options.kind ?? kindOf(app)
  if (kind === undefined) {
    throw new TypeError(
      'createTestApp needs the app: what its module exports by default, or the module. An app that exports nothing and lets a ' +
        'server listen cannot be tested this way: export the app'
    )
  }
  if (kind === 'plugin') return { plugin: app as FastifyPluginAsync, serverOptions: serverOptions ?? {}, options }
  // Packages of the app are resolved from the working directory.
  return mountedApp(await startMounted(kind, app, join(process.cwd(), 'app.js')), options)
}
