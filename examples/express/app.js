// An Express app as it stands: nothing in it knows about the service. Plain `node app.js` runs it as well.
import express from 'express'

const app = express()
app.use(express.json())

app.get('/', (_request, response) => {
  response.json({ hello: 'express', pid: process.pid })
})

app.post('/shout', (request, response) => {
  const { text } = request.body ?? {}
  if (typeof text !== 'string') return response.status(400).json({ error: 'text is missing' })
  response.json({ text: text.toUpperCase() })
})

app.get('/slow', (_request, response) => {
  setTimeout(() => response.json({ slow: true }), 1000)
})

app.use((error, _request, response, _next) => {
  response.status(error.status ?? 500).json({ error: error.message })
})

const server = app.listen(process.env.PORT || 3000, () => console.log('listening', server.address()))

// Runs when every request is answered.
process.on('SIGTERM', () => server.close(() => console.log('closed')))
