import assert from 'node:assert/strict'
import { appendFileSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { Authority } from '../helpers/certificates.ts'

test('TLS_CERT and TLS_KEY are read, and only their paths are shown', (t) => {
  const { cert, key } = new Authority(t).sign('service')
  const { tls, variables } = loadConfig({ TLS_CERT: cert, TLS_KEY: key })
  assert.equal(tls?.cert, readFileSync(cert, 'utf8'))
  assert.equal(tls.key, readFileSync(key, 'utf8'))
  assert.ok(Math.abs(tls.expiresAt - Date.now() - 2 * 86_400_000) < 3_600_000)
  assert.deepEqual([variables.TLS_CERT, variables.TLS_KEY], [cert, key])
})

test('every issue of TLS_CERT and TLS_KEY is reported, without any part of a key', (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('one')
  const other = authority.sign('other')
  const broken = authority.sign('broken')
  appendFileSync(broken.cert, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  const cases: [environment: Record<string, string>, issue: RegExp][] = [
    [{ TLS_CERT: cert }, /^TLS_KEY: must be set, since TLS_CERT is$/],
    [{ TLS_KEY: key }, /^TLS_CERT: must be set, since TLS_KEY is$/],
    [{ TLS_CERT: '/no/such.pem', TLS_KEY: key }, /^TLS_CERT: cannot be read: ENOENT.*\/no\/such\.pem/],
    [{ TLS_CERT: key, TLS_KEY: key }, /^TLS_CERT: .*one\.key contains no certificate: /],
    [{ TLS_CERT: cert, TLS_KEY: cert }, /^TLS_KEY: .*one\.pem contains no private key without a passphrase: /],
    [{ TLS_CERT: cert, TLS_KEY: other.key }, /^TLS_KEY: .*other\.key does not fit: it is not the key of the first/],
    [{ TLS_CERT: broken.cert, TLS_KEY: broken.key }, /^TLS_CERT: .*broken\.pem and TLS_KEY cannot be served: /],
    [
      { TLS_CERT: cert, TLS_KEY: key, TLS_CIPHERS: 'NOTHING' },
      /^TLS_CIPHERS: OpenSSL finds no cipher suite in "NOTHING"/
    ],
    [
      { TLS_CERT: cert, TLS_KEY: key, TLS_CIPHERS: 'TLS_AES_128_GCM_SHA256' },
      /^TLS_CIPHERS: must list suites of TLS 1\.2/
    ],
    [
      { TLS_CERT: cert, TLS_KEY: key, TLS_MIN_VERSION: 'TLSv1.1' },
      /^TLS_MIN_VERSION: must be one of TLSv1\.2, TLSv1\.3/
    ],
    [{ TLS_CERT: cert, TLS_KEY: readFileSync(key, 'utf8') }, /^TLS_KEY: must be the path of a file, not its content$/]
  ]
  const secret = readFileSync(key, 'utf8').split('\n')[1]!
  for (const [environment, issue] of cases) {
    assert.throws(
      () => loadConfig({ ...environment, PORT: 'x' }),
      ({ message }: Error) => {
        const [, ...issues] = message.split('\n  - ')
        assert.deepEqual(
          issues.map((one) => issue.test(one) || /^PORT: /.test(one)),
          [true, true],
          message
        )
        return !message.includes(secret)
      }
    )
  }
})
