import cluster from 'node:cluster'
import { build } from './by-the-book-app.ts'

// The application on node:cluster, as node's documentation does it.

if (cluster.isPrimary) for (let n = 0; n < Number(process.env.WORKERS); n++) cluster.fork()
else {
  const app = await build()
  await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT) })
}
