import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeMissingInternals } from '../../src/node-internals/check.ts'
import { probeHttpServer } from '../../src/node-internals/http-server.ts'
import { probeHttp2 } from '../../src/node-internals/http2-messages.ts'
import { probeIpcChannel } from '../../src/node-internals/ipc-channel.ts'
import { probeListeningHandle } from '../../src/node-internals/listening-handle.ts'
import { probePretendedListening } from '../../src/node-internals/pretended-listening.ts'
import { probeTcpHandle } from '../../src/node-internals/tcp-handle.ts'

test('this Node has every private part that muster needs', () => {
  const probes = [
    probeTcpHandle,
    probeListeningHandle,
    probePretendedListening,
    probeHttpServer,
    probeHttp2,
    probeIpcChannel
  ]
  assert.equal(describeMissingInternals(probes), undefined)
})

test('the error names the version of Node and the missing parts', () => {
  const probes = [() => ({ here: true, 'net._gone': false }), () => ({ 'http.gone': false })]
  assert.equal(
    describeMissingInternals(probes, 'v99.0.0'),
    'Node v99.0.0 lacks net._gone, http.gone, which this version of muster needs: use Node 20, 22, 24 or 26'
  )
})
