import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../helpers/random.ts'
import type { Recorder } from '../history/recorder.ts'
import type { Client } from './client.ts'

const SETTINGS = ['alpha', 'beta', 'gamma']
const KEYS = ['a', 'b', 'c']
const LOCKS = 3
/** Longest time for which a lock is held, or the work of `once` lasts, in ms. */
const MAX_WORK_MS = 120

const anyOf = <T>(values: readonly T[], random: Random): T => values[random.between(0, values.length - 1)]!

/** Counts, and now and then reads. */
export async function useCounter(client: Client, recorder: Recorder): Promise<void> {
  const kind = client.random.chance(0.9) ? 'increment' : 'read'
  const operation = client.begin({ process: client.name, model: 'counter', object: 'hits', kind })
  const { status, body } = await client.ask(kind === 'increment' ? 'POST' : 'GET', '/hits', { operation })
  if (status === 200) recorder.end(operation, { number: JSON.parse(body).hits })
  else await sleep(client.random.between(20, 100))
}

/** Sets a setting to a value that no other write has, or reads all of them, in Redis or in a worker. */
export async function useSettings(client: Client, recorder: Recorder): Promise<void> {
  const { random } = client
  if (random.chance(0.4)) return readSettings(client, recorder, random.chance(0.5) ? 'read' : 'copy')
  const object = anyOf(SETTINGS, random)
  const begun = { process: client.name, model: 'settings', object, kind: 'set', value: '' } as const
  const operation = client.begin(begun)
  const value = `v${operation.id}`
  Object.assign(operation, { value })
  const { status, body } = await client.ask('PUT', `/settings/${object}/${value}`, { operation })
  if (status === 200) recorder.end(operation, JSON.parse(body))
  else await sleep(random.between(50, 300))
}

/** Reads all settings in one request, which is an operation on each of them. */
export async function readSettings(
  client: Client,
  recorder: Recorder,
  kind: 'read' | 'copy',
  isCalm = false
): Promise<void> {
  const [first = '', ...others] = SETTINGS
  const begun = { process: client.name, model: 'settings', object: first, kind, value: null } as const
  const operation = client.begin(isCalm ? { ...begun, isCalm } : begun)
  const { status, body } = await client.ask('GET', kind === 'read' ? '/settings' : '/copy', { operation })
  if (status !== 200) return recorder.drop(operation)
  const { values, ...more } = JSON.parse(body)
  recorder.end(operation, { ...more, value: values[first] })
  for (const object of others) recorder.copy(operation, { object, value: values[object] })
}

/** Takes a lock for a while. The worker records when it had it. */
export async function useLock(client: Client): Promise<void> {
  const { random } = client
  await client.ask('POST', `/lock/lock-${random.between(1, LOCKS)}?ms=${random.between(0, MAX_WORK_MS)}`)
}

/**
 * Asks for work that is to be done once. The worker records what became of it.
 * @param failing probability that the work fails
 * @returns whether there was an answer
 */
export async function askOnce(client: Client, name: string, failing = 0.15): Promise<boolean> {
  const { random } = client
  const query = `ms=${random.between(0, MAX_WORK_MS)}&fails=${random.chance(failing)}`
  return (await client.ask('POST', `/once/${name}?${query}`)).status === 200
}

/** Works that every client asks for at the same time, and old ones that must not be done again. */
export async function useOnce(clients: readonly Client[], isOver: () => boolean): Promise<string[]> {
  const names: string[] = []
  while (!isOver()) {
    names.push(`work-${names.length}`)
    const [name = ''] = names.slice(-1)
    await Promise.all(
      clients.map(async (client) => {
        await sleep(client.random.between(0, 100))
        await askOnce(client, client.random.chance(0.8) ? name : anyOf(names, client.random))
      })
    )
  }
  return names
}

/** A session: signed in, used by all clients, signed out, and used with the old cookie for a while. */
export async function useSession(
  name: string,
  clients: readonly Client[],
  recorder: Recorder,
  isOver: () => boolean
): Promise<void> {
  const [first] = clients
  const cookie = await signIn(first!)
  if (cookie === undefined) return
  const { random } = first!
  const signOutAt = performance.now() + random.between(1000, 6000)
  const endAt = signOutAt + 1500
  const isUsed = () => performance.now() < endAt && !isOver()
  const signOut = async () => {
    for (let isAsked = false; isUsed() && !isAsked; await sleep(50)) {
      if (performance.now() < signOutAt) continue
      const operation = first!.begin({
        process: first!.name,
        model: 'session',
        object: name,
        kind: 'sign-out',
        key: null
      })
      isAsked = (await first!.ask('DELETE', '/sign-in', { cookie, operation })).status === 200
      if (isAsked) recorder.end(operation)
    }
  }
  const use = async (client: Client) => {
    while (isUsed()) {
      await useKey(client, name, cookie, recorder)
      await sleep(client.random.between(0, 60))
    }
  }
  await Promise.all([signOut(), ...clients.slice(1).map(use)])
}

/** @returns the cookie; undefined when the answer was no success */
async function signIn(client: Client): Promise<string | undefined> {
  const { status, headers } = await client.ask('POST', '/sign-in')
  if (status === 200) return headers['set-cookie']?.split(';')[0]
  await sleep(100)
  return
}

async function useKey(client: Client, object: string, cookie: string, recorder: Recorder): Promise<void> {
  const key = anyOf(KEYS, client.random)
  const common = { process: client.name, model: 'session', object, key } as const
  if (client.random.chance(0.5)) {
    const operation = client.begin({ ...common, kind: 'put', value: 0 })
    Object.assign(operation, { value: operation.id })
    const { status, headers } = await client.ask('PUT', `/keys/${key}/${operation.id}`, { cookie, operation })
    if (status === 200) recorder.end(operation, 'set-cookie' in headers ? { isGone: true } : {})
    return
  }
  const operation = client.begin({ ...common, kind: 'get' })
  const { status, body } = await client.ask('GET', '/keys', { cookie, operation })
  if (status !== 200) return recorder.drop(operation)
  const session = JSON.parse(body)
  if (session.name === undefined) return recorder.end(operation, { key: null, isGone: true })
  recorder.end(operation, { value: session[key] ?? null })
  for (const other of KEYS.filter((one) => one !== key)) {
    recorder.copy(operation, { key: other, value: session[other] ?? null })
  }
}
