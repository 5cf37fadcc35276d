import { connect, type Socket } from 'node:net'
import { completeStatus } from './connect.ts'
import type { FromIdle, ToIdle } from './idle.ts'
import { nthAddress } from './load.ts'

/** So many are opened at a time: more would not fit into the queue of a listening socket. */
const atATime = 100
const held: Socket[] = []

async function hold({ url, connections }: ToIdle): Promise<void> {
  let opened = 0
  const opener = async () => {
    while (opened < connections) held.push(await open(url, opened++))
  }
  await Promise.all(Array.from({ length: atATime }, opener))
}

function open(url: string, nth: number): Promise<Socket> {
  const { hostname, port, host } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), localAddress: nthAddress(nth) })
  socket.setEncoding('latin1').setTimeout(10_000, () => socket.destroy(new Error('no answer in 10 s')))
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('a connection was closed before it was idle')))
    socket.on('connect', () => socket.write(`POST /hits HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0\r\n\r\n`))
    socket.on('data', (chunk) => {
      const status = completeStatus((text += chunk))
      if (status === undefined) return
      socket.setTimeout(0)
      if (status === 200) resolve(socket)
      else reject(new Error(`POST /hits answered ${status}`))
    })
  })
}

function reply(message: FromIdle): void {
  process.send?.(message)
}

process.on('message', (message: ToIdle) => {
  hold(message).then(
    () => reply({ type: 'held', connections: held.filter((socket) => !socket.destroyed).length }),
    (error: Error) => reply({ type: 'failed', why: `idle connections: ${error.message}` })
  )
})
process.on('disconnect', () => process.exit(0))
