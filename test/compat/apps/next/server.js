import { createServer } from 'node:http'
import { parse } from 'node:url'
import next from 'next'

const app = next({ dev: false, dir: import.meta.dirname })
const handle = app.getRequestHandler()
await app.prepare()
createServer((request, response) => handle(request, response, parse(request.url, true))).listen(3000)
