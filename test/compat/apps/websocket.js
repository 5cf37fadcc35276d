import websocket from '@fastify/websocket'

export default async function (app) {
  await app.register(websocket)
  app.get('/echo', { websocket: true }, (socket) => {
    socket.on('message', (message) => socket.send(`echo: ${message}`))
  })
  app.get('/', async () => ({ clients: app.websocketServer.clients.size >= 0 }))
}
