import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { startRedis } from './redis.ts'
import { type Service, startService, temporaryFolder } from './service.ts'

/** Writes a module and starts it. @param name ends with .mjs or .cjs */
export async function startModule(
  t: TestContext,
  name: string,
  source: string,
  env = {},
  wait = true
): Promise<Service> {
  const app = join(temporaryFolder(t), name)
  writeFileSync(app, source)
  const { url } = await startRedis(t)
  return startService(t, { workers: 1, env: { REDIS_URL: url, APP: app, ...env }, wait })
}
