import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'

// Passes connections on to PORT of Redis, and its answers back DELAY ms later: a network with that round trip.

const delayMs = Number(process.env.DELAY)
const server = createServer({ noDelay: true }, (client) => {
  const redis = connect({ host: process.env.TARGET_HOST, port: Number(process.env.TARGET_PORT), noDelay: true })
  client.pipe(redis)
  redis.on('data', (chunk) => {
    if (delayMs === 0) client.write(chunk)
    else setTimeout(() => client.destroyed || client.write(chunk), delayMs)
  })
  client.on('error', () => redis.destroy()).on('close', () => redis.destroy())
  redis.on('error', () => client.destroy()).on('close', () => client.destroy())
}).listen({ host: '127.0.0.1', port: 0, backlog: 4096 })
await once(server, 'listening')
process.send?.({ type: 'listening', port: (server.address() as AddressInfo).port })
process.on('disconnect', () => process.exit(0))
