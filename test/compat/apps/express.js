import express from 'express'

const app = express()
app.disable('x-powered-by')
app.use(express.json())
app.use(express.urlencoded({ extended: false }))
app.get('/', (_request, response) => response.json({ hello: 'express' }))
app.post('/echo', (request, response) => response.status(201).json(request.body))
app.get('/cookie', (_request, response) => response.cookie('seen', 'yes', { httpOnly: true }).redirect('/'))
app.get('/page', (_request, response) =>
  response.type('html').send('<!doctype html><title>Express</title><h1>A page</h1>')
)
app.get('/broken', () => {
  throw Object.assign(new Error('broken on purpose'), { status: 418 })
})
app.use((error, _request, response, _next) => response.status(error.status ?? 500).json({ own: error.message }))

export default app
