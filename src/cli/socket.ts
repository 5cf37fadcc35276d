import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { AdminEvent, CommandAnswer } from '../ipc/messages.ts'
import { http } from '../node-http.ts'

export type Answer = CommandAnswer['body']

/** Nobody listens on the admin socket. */
export class NobodyThere extends Error {}

/** Gives a command. @throws NobodyThere, or what the connection ended with */
export async function ask(socketPath: string, command: string, args: object): Promise<Answer> {
  const response = await open(socketPath, 'POST', `/commands/${command}`, JSON.stringify(args))
  return JSON.parse(await text(response)) as Answer
}

/** What happens there from now on, until the service ends or `signal` is aborted. @throws NobodyThere */
export async function* watch(socketPath: string, signal?: AbortSignal): AsyncGenerator<AdminEvent> {
  const response = await open(socketPath, 'GET', '/events')
  signal?.addEventListener('abort', () => response.destroy())
  // A stream that is cut is at its end.
  response.on('error', () => {})
  for await (const line of createInterface({ input: response })) yield JSON.parse(line) as AdminEvent
}

async function open(socketPath: string, method: string, path: string, body = ''): Promise<IncomingMessage> {
  const call = http.request({ socketPath, path, method }).end(body)
  try {
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    return response
  } catch (error) {
    const nobody = ['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')
    throw nobody ? new NobodyThere(`no muster runs on ${socketPath}`) : error
  }
}
