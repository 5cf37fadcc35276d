import Koa from 'koa'

const app = new Koa()
app.use(async (context, next) => {
  await next()
  context.set('x-powered-by', 'koa')
})
app.use(async (context) => {
  if (context.path === '/') context.body = { hello: 'koa' }
  if (context.path === '/cookie') {
    const seen = Number(context.cookies.get('seen') ?? 0) + 1
    context.cookies.set('seen', String(seen))
    context.body = { seen }
  }
})

export default app
