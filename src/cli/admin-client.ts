import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { http } from '../common/node-http.ts'
import type { AdminEvent, CommandAnswer } from '../ipc/messages.ts'

export type Answer = CommandAnswer['body']

/** Nobody listens on the admin socket. */
export class NobodyThere extends Error {}

/** The connection ended before the answer, or the stream, was complete: the service has ended, or was killed. */
export class ServiceEnded extends Error {}

/** Gives a command. @throws NobodyThere, ServiceEnded, or what the connection ended with */
export async function ask(socketPath: string, command: string, args: object): Promise<Answer> {
  const response = await open(socketPath, 'POST', `/commands/${command}`, JSON.stringify(args))
  return JSON.parse(await text(response).catch(ended)) as Answer
}

/** What happens there from now on, until `signal` is aborted. @throws NobodyThere; ServiceEnded when the service ends */
export async function* watch(socketPath: string, signal?: AbortSignal): AsyncGenerator<AdminEvent> {
  const response = await open(socketPath, 'GET', '/events')
  signal?.addEventListener('abort', () => response.destroy())
  // Whichever of the two listeners hears of it first.
  response.on('error', () => {})
  try {
    for await (const line of createInterface({ input: response })) yield JSON.parse(line) as AdminEvent
  } catch (error) {
    ended(error)
  }
  throw new ServiceEnded('the service has ended')
}

async function open(socketPath: string, method: string, path: string, body = ''): Promise<IncomingMessage> {
  const call = http.request({ socketPath, path, method }).end(body)
  try {
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    return response
  } catch (error) {
    const nobody = ['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')
    return nobody ? Promise.reject(new NobodyThere(`no muster runs on ${socketPath}`)) : ended(error)
  }
}

/** @throws ServiceEnded where the connection was cut, else the error */
function ended(error: unknown): never {
  const { code } = error as NodeJS.ErrnoException
  throw code === 'ECONNRESET' || code === 'EPIPE' ? new ServiceEnded('the service ended before it answered') : error
}
