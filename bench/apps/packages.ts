// Loads what every worker is made of, one after the other as it does, and says when that was done, in ms since the process began.
await import('fastify')
await import('@fastify/cookie')
await import('@fastify/session')
await import('ioredis')
await import('connect-redis')
await import('pino')
await import('prom-client')
process.stdout.write(String(performance.now()), () => process.exit(0))
