import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type ConnectionOptions, connect, getCiphers } from 'node:tls'
import { Authority } from '../helpers/certificates.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

/** @returns the version and the cipher suite that the service agreed to; undefined when it refused */
async function negotiate(port: number, options: ConnectionOptions) {
  const socket = connect({ port, host: '127.0.0.1', ...options })
  try {
    await once(socket, 'secureConnect')
    return { version: socket.getProtocol(), cipher: socket.getCipher().name }
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

/** Every suite of TLS 1.2 that the service accepts, of those that this OpenSSL knows. */
async function suitesOf(port: number, ca: string): Promise<string[]> {
  const accepted: string[] = []
  for (const name of getCiphers()) {
    if (name.startsWith('tls_')) continue
    // Level 0: the client itself would not offer the weakest suites otherwise.
    const ciphers = `${name.toUpperCase()}:@SECLEVEL=0`
    const found = await negotiate(port, { ca, ciphers, maxVersion: 'TLSv1.2' })
    if (found) accepted.push(found.cipher)
  }
  return accepted
}

for (const kind of ['rsa', 'ec'] as const) {
  test(`TLS 1.2 offers ECDHE with authenticated encryption only, with a certificate of kind ${kind}`, async (t) => {
    const authority = new Authority(t)
    const { cert, key } = authority.sign('service', 'IP:127.0.0.1', 2, kind)
    const { url } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url, TLS_CERT: cert, TLS_KEY: key }, workers: 1 })
    const ca = readFileSync(authority.file, 'utf8')
    const by = kind === 'ec' ? 'ECDSA' : 'RSA'
    assert.deepEqual((await suitesOf(service.port, ca)).sort(), [
      `ECDHE-${by}-AES128-GCM-SHA256`,
      `ECDHE-${by}-AES256-GCM-SHA384`,
      `ECDHE-${by}-CHACHA20-POLY1305`
    ])
    assert.equal((await negotiate(service.port, { ca }))?.version, 'TLSv1.3')
  })
}

test('TLS_CIPHERS names the suites of TLS 1.2, and TLS_MIN_VERSION turns that version off', async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('service')
  const ca = readFileSync(authority.file, 'utf8')
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, TLS_CERT: cert, TLS_KEY: key }
  const one = 'ECDHE-ECDSA-AES256-GCM-SHA384'
  const chosen = await startService(t, { env: { ...env, TLS_CIPHERS: one }, workers: 1 })
  assert.deepEqual(await suitesOf(chosen.port, ca), [one])
  assert.equal((await negotiate(chosen.port, { ca }))?.version, 'TLSv1.3')
  const newest = await startService(t, { env: { ...env, TLS_MIN_VERSION: 'TLSv1.3' }, workers: 1 })
  assert.equal(await negotiate(newest.port, { ca, maxVersion: 'TLSv1.2' }), undefined)
  assert.equal((await negotiate(newest.port, { ca }))?.version, 'TLSv1.3')
})
