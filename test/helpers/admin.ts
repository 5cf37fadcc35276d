import { request } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import type { Service } from './service.ts'

export interface Answer {
  ok: boolean
  result?: { version?: number; values?: Record<string, unknown>; workers?: number; unanswered?: number } | null
  acks?: { host: string; slot: number; pid: number }[]
  missing?: { host: string; slot: number; pid: number; why: string }[]
  error?: string
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
