import { once as onceEvent } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cleanup } from './cleanup.ts'
import { once } from './http.ts'
import { startRedis } from './redis.ts'
import { CLI, type Service, startService, temporaryFolder } from './service.ts'

const MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url))
const DEV = `"${process.execPath}" "${CLI}" dev`
/** The variables that `muster dev` sets itself. */
const OWN = { APP: '', WORKERS: '', CANARY_TIME: '', MAX_LOOP_DELAY: '' }

export interface Project {
  service: Service
  write: (name: string, content: string) => void
  /** Waits for the end of a rollout. @param from index into the lines of the log */
  rollout: (outcome: 'done' | 'failed', from: number) => Promise<unknown>
}

/** Starts `muster dev` in a folder with these files. */
export async function develop(
  t: TestContext,
  files: Record<string, string>,
  args: string,
  wait: boolean = true
): Promise<Project> {
  let service: Service | undefined
  // Hooks run in this order: the folder is removed after the service has ended, because its removal is a change.
  cleanup(t, () => service?.stop('SIGQUIT'))
  const { url } = await startRedis(t)
  const folder = temporaryFolder(t)
  symlinkSync(MODULES, join(folder, 'node_modules'))
  const write = (name: string, content: string) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  for (const [name, content] of Object.entries(files)) write(name, content)
  const launcher = `env -C '${folder}'`
  const env = { ...OWN, REDIS_URL: url }
  service = await startService(t, { launcher, command: `${DEV} ${args}`, env, workers: 1, wait })
  const rollout = (outcome: string, from: number) => service.line(({ msg }) => msg === `rollout ${outcome}`, from)
  return { service, write, rollout }
}

export const bodyOf = async ({ port }: Service) => (await once(port, 'GET', '/')).body

/** Waits for text on standard error. */
export async function printed(service: Service, text: RegExp): Promise<void> {
  while (!text.test(service.stderr)) await onceEvent(service.child.stderr!, 'data')
}
