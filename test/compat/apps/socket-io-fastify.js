import { Server } from 'socket.io'

export default async function (app) {
  const io = new Server(app.server)
  io.on('connection', (socket) => {
    socket.on('echo', (text, answer) => answer(`echo: ${text}`))
  })
  app.addHook('preClose', (done) => {
    io.local.disconnectSockets(true)
    done()
  })
  app.addHook('onClose', async () => io.close())
  app.get('/', async () => ({ http: true }))
}
