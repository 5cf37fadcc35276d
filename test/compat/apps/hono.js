import { Hono } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { streamText } from 'hono/streaming'

const app = new Hono()
app.get('/', (c) => c.json({ hello: 'hono' }))
app.post('/echo', async (c) => c.json(await c.req.json(), 201))
app.get('/cookie', (c) => {
  const seen = Number(getCookie(c, 'seen') ?? 0) + 1
  setCookie(c, 'seen', String(seen))
  return c.json({ seen })
})
app.get('/stream', (c) =>
  streamText(c, async (stream) => {
    for (const word of ['one', 'two', 'three']) await stream.writeln(word)
  })
)

export default app
