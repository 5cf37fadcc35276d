import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { WebSocketServer } from 'ws'

/** Starts a server that answers with what it was asked, and echoes on WebSockets. */
export async function startUpstream(t: TestContext): Promise<Record<string, string>> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ upstream: `${request.method} ${request.url}`, body }))
    })
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(`echo: ${text}`)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    sockets.close()
    server.close()
    server.closeAllConnections()
  })
  return { UPSTREAM: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
