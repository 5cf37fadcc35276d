import { test } from 'node:test'
import { promisedLoad, releaseUnnoticed } from '../helpers/unnoticed-releases.ts'
import '../helpers/takes-long.ts'

test('reloads are noticed by no WebSocket, event stream, upload, download or keep-alive connection', (t) =>
  releaseUnnoticed(t, { ...promisedLoad(0.1), reloads: 3, transferSeconds: 6 }))
