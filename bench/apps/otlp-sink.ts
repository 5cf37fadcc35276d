import { createServer } from 'node:http'

// A receiver of OTLP that throws everything away.
createServer((request, response) => {
  request.resume().on('end', () => response.end())
}).listen(Number(process.env.PORT), '127.0.0.1')
