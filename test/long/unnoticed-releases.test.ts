import { test } from 'node:test'
import { sizeOf } from '../helpers/sizes.ts'
import { promisedLoad, releaseUnnoticed, WORKERS } from '../helpers/unnoticed-releases.ts'

const reloads = sizeOf('RELOADS', 20)
/** In percent of what was promised. */
const size = sizeOf('CLIENTS', 100)
const maxReloadMs = 5000 + WORKERS * 1000

test(`${reloads} reloads are noticed by no WebSocket, event stream, upload, download or keep-alive connection`, (t) =>
  releaseUnnoticed(t, { ...promisedLoad(size / 100), reloads, transferSeconds: 0.6 * size, maxReloadMs }))
