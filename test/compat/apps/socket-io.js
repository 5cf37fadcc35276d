import { createServer } from 'node:http'
import { Server } from 'socket.io'

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end('{"http":true}')
})
const io = new Server(server)
io.on('connection', (socket) => {
  socket.on('echo', (text, answer) => answer(`echo: ${text}`))
})

export default server
