import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { http } from '../common/node-http.ts'
import type { AdminEvent, CommandAnswer } from '../ipc/messages.ts'

export type Answer = CommandAnswer['body']

/** No process listens on the admin socket. */
export class ServiceNotRunning extends Error {}

/** The connection ended before the answer or the stream was complete: the service has ended, or was killed. */
export class ServiceEnded extends Error {}

/**
 * Sends a command to the admin socket.
 * @throws ServiceNotRunning, ServiceEnded, or the error of the connection
 */
export async function sendCommand(socketPath: string, command: string, args: object): Promise<Answer> {
  const response = await open(socketPath, 'POST', `/commands/${command}`, JSON.stringify(args))
  return JSON.parse(await text(response).catch(throwEnded)) as Answer
}

/**
 * Yields what happens in the service until `signal` is aborted.
 * @throws ServiceNotRunning; ServiceEnded when the service ends
 */
export async function* watchEvents(socketPath: string, signal?: AbortSignal): AsyncGenerator<AdminEvent> {
  const response = await open(socketPath, 'GET', '/events')
  signal?.addEventListener('abort', () => response.destroy())
  // The interface reports the error too, unless the response does so first.
  response.on('error', () => {})
  try {
    for await (const line of createInterface({ input: response })) yield JSON.parse(line) as AdminEvent
  } catch (error) {
    throwEnded(error)
  }
  throw new ServiceEnded('the service has ended')
}

async function open(socketPath: string, method: string, path: string, body = ''): Promise<IncomingMessage> {
  const request = http.request({ socketPath, path, method }).end(body)
  try {
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return response
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code === 'EACCES')
      throw new Error(`${socketPath} belongs to another user: run the command as that user, or as root`)
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throwEnded(error)
    throw new ServiceNotRunning(
      `no service runs on ${socketPath}: start one with \`muster start\`, or name its RUN_DIR with --run-dir`
    )
  }
}

/** @throws ServiceEnded when the peer closed the connection, otherwise the error itself */
function throwEnded(error: unknown): never {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ECONNRESET' || code === 'EPIPE') throw new ServiceEnded('the service ended before it answered')
  throw error
}
