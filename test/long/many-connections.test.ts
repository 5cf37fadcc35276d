import { test } from 'node:test'
import { sizeOf } from '../helpers/sizes.ts'
import { releaseUnnoticed } from '../helpers/unnoticed-releases.ts'

const count = sizeOf('CONNECTIONS', 5000)

test(`a reload is noticed by none of ${count} WebSockets and ${count} event streams that are open at once`, (t) =>
  releaseUnnoticed(t, {
    mix: { busySockets: 0, quietSockets: count, streams: 0, quietStreams: count, transfers: 0 },
    connections: 0,
    reloads: 2
  }))
