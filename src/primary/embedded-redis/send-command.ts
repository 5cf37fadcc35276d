import { connect } from 'node:net'

/**
 * Sends one inline command. Resolves with the first line of the answer, '' if the server closes without one, or undefined if
 * there is no server. Rejects when there is no answer within `ms`.
 */
export function sendCommand(socketPath: string, command: string, ms: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(socketPath)
    socket.setEncoding('utf8')
    socket.setTimeout(Math.max(ms, 1), () => socket.destroy(new Error(`no answer within ${ms} ms`)))
    socket.on('data', (chunk) => {
      answer += chunk
      if (answer.includes('\n')) socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined)
      else reject(error)
    })
    socket.on('close', () => resolve(answer.split('\r\n', 1)[0] ?? ''))
    socket.write(`${command}\r\n`)
  })
}
