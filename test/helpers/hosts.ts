import type { TestContext } from 'node:test'
import { type Answer, command } from './admin.ts'
import { type Service, startService } from './service.ts'
import { until } from './until.ts'

/** Patient with Redis: on a machine that is busy enough, an answer may take longer than the second of the default. */
export const starts = (t: TestContext, urls: string[], env: Record<string, string> = {}) =>
  Promise.all(urls.map((url) => startService(t, { env: { REDIS_URL: url, REDIS_TIMEOUT: '8000', ...env } })))

export const slotsOf = (workers: { slot: number }[] = []) => workers.map(({ slot }) => slot).sort()
export const pidOf = (service: Service, slot: number) =>
  [...service.workers()].find(([, worker]) => worker.slot === slot)![0]

/** Commands until it went as it should: on a busy machine a worker may take longer than the 2 s that it is given. */
export async function commandUntil(
  service: Service,
  name: string,
  args: object,
  right: (body: Answer) => boolean
): Promise<Answer> {
  let body: Answer = { ok: false }
  await until(async () => {
    body = (await command(service, name, args)).body
    return right(body)
  }, name)
  return body
}

/** Resolves when every worker of the services has taken a change, with the time of the last one's log line. */
export async function taken(services: Service[], from: number[]): Promise<number> {
  const workers = services.flatMap((service, i) =>
    [...service.workers().values()].map(({ slot }) => ({ service, slot, i }))
  )
  const lines = await Promise.all(
    workers.map(({ service, slot, i }) =>
      service.line((line) => line.msg === 'a setting changed' && line.worker === slot, from[i])
    )
  )
  return Math.max(...lines.map((line) => Number(line.time)))
}
