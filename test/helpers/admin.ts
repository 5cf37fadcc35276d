import { request } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import type { Service } from './service.ts'

export interface Answer {
  ok: boolean
  // biome-ignore lint/suspicious/noExplicitAny: each command has its own
  result?: any
  acks?: { host: string; slot: number; pid: number }[]
  missing?: { host: string; slot: number; pid: number; why: string }[]
  statusCode?: number
  message?: string
}

/** A token that opens everything, and one that only reads. */
export const TOKENS = { ADMIN_TOKEN: 'control-'.padEnd(40, 'c'), ADMIN_READ_TOKEN: 'read-'.padEnd(40, 'r') }

/** Asks over HTTP, on a connection of its own. @param token none: without one */
export async function overHttp(
  url: string,
  name: string,
  args?: unknown,
  token: string | undefined = TOKENS.ADMIN_TOKEN
): Promise<{ status: number; body: Answer; headers: Headers }> {
  const response = await fetch(`${url}/admin/commands/${name}`, {
    method: 'POST',
    headers: {
      connection: 'close',
      ...(args !== undefined && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` })
    },
    ...(args !== undefined && { body: JSON.stringify(args) })
  })
  return { status: response.status, body: (await response.json()) as Answer, headers: response.headers }
}

/** Asks as the `muster` command does, without a process for it. */
export function command(
  service: Pick<Service, 'runDir'>,
  name: string,
  args: object = {}
): Promise<{ status: number; body: Answer }> {
  const socketPath = join(service.runDir, 'admin.sock')
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: `/commands/${name}`, method: 'POST' }, (response) => {
      json(response).then((body) => resolve({ status: response.statusCode ?? 0, body: body as Answer }), reject)
    })
    call.on('error', reject).end(JSON.stringify(args))
  })
}

/** Fields of a status that depend on what has happened so far. */
const CHANGING = ['joined', 'why', 'to', 'lastReload']

/** @returns the names of the fields of an object, without those that are not always there; the type of a list's entries; or the value */
export function keysOf(value: unknown): unknown {
  if (Array.isArray(value)) return typeof value[0]
  if (typeof value !== 'object' || value === null) return value
  return Object.keys(value)
    .filter((key) => !CHANGING.includes(key))
    .sort()
}
