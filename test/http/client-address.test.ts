import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startApp } from '../helpers/app.ts'
import { once } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

const PROXY = '127.0.0.1'
/** The window is so long that no test sees its end. */
const LIMITED = { RATE_WINDOW: String(2 ** 31 - 1), RATE_LIMIT: '10', RATE_EXEMPT: '192.0.2.0/24,2001:db8:ffff::/48' }

interface Seen {
  ip: string
  ips?: string[]
  host: string
  protocol: string
}

/** A worker's server with routes that return what they know about their client. */
async function start(t: TestContext, env: Record<string, string> = {}) {
  const lines: { msg: string; ip?: string }[] = []
  const { port } = await startApp(t, {
    listen: true,
    env: { TRUST_PROXY: PROXY, ...env },
    onLog: (line) => lines.push(JSON.parse(line)),
    routes: async (app) => {
      app.get('/client', { config: { session: false } }, async ({ ip, ips, host, protocol }) => ({
        ip,
        ips,
        host,
        protocol
      }))
      app.post('/change', { config: { session: false } }, async () => ({}))
    }
  })
  const see = async (headers: Record<string, string>, from = PROXY) => {
    const { status, body } = await once(port, 'GET', '/client', headers, from)
    return status === 200 ? (JSON.parse(body) as Seen) : status
  }
  return { port, lines, see }
}

test('one address is one client, whatever its port and spelling: for limits, exemptions, logs and request.ip', async (t) => {
  const { see, lines } = await start(t, LIMITED)
  const spellings: Record<string, string[]> = {
    '198.51.100.1': ['198.51.100.1', '198.51.100.1:PORT', '::ffff:198.51.100.1', '[::ffff:c633:6401]:PORT'],
    '2001:db8::1': ['2001:db8::1', '2001:DB8:0:0::1', '[2001:db8::1]', '[2001:db8::0001]:PORT']
  }
  for (const [address, spelled] of Object.entries(spellings)) {
    let passed = 0
    for (let i = 0; i < 16; i++) {
      const seen = await see({ 'x-forwarded-for': spelled[i % spelled.length]!.replace('PORT', String(4000 + i)) })
      if (typeof seen === 'number') continue
      passed++
      assert.deepEqual([seen.ip, seen.ips], [address, [PROXY, address]])
    }
    assert.equal(passed, 10, address)
  }
  for (const [address, spelled] of [
    ['192.0.2.7', '192.0.2.7:4711'],
    ['2001:db8:ffff::1', '[2001:DB8:ffff::1]:4711']
  ] as const) {
    for (let i = 0; i < 12; i++) assert.equal(((await see({ 'x-forwarded-for': spelled })) as Seen).ip, address)
  }
  const logged = new Set(lines.filter(({ msg }) => msg === 'request').map(({ ip }) => ip))
  assert.deepEqual([...logged], [...Object.keys(spellings), '192.0.2.7', '2001:db8:ffff::1'])
})

test('an invalid address in X-Forwarded-For is ignored: the proxy counts as the client', async (t) => {
  const { see } = await start(t)
  for (const value of ['unknown', '198.51.100.1, _hidden', '999.1.1.1', '198.51.100.1, <script>']) {
    const { ip, ips } = (await see({ 'x-forwarded-for': value })) as Seen
    assert.deepEqual([ip, ips], [PROXY, [PROXY]], value)
  }
})

test('PROXY_HEADERS=forwarded reads Forwarded (RFC 7239) instead of X-Forwarded-*', async (t) => {
  const { see } = await start(t, { PROXY_HEADERS: 'forwarded', FORWARDED_HOST: 'trust' })
  const cases: [header: string, seen: Omit<Seen, 'ips'>][] = [
    ['for=198.51.100.1', { ip: '198.51.100.1', host: 'test', protocol: 'http' }],
    ['For="198.51.100.1:4711"; Proto=HTTPS', { ip: '198.51.100.1', host: 'test', protocol: 'https' }],
    ['for="[2001:db8::1]:4711";host="a.example:8443"', { ip: '2001:db8::1', host: 'a.example:8443', protocol: 'http' }],
    [
      'for=203.0.113.9;proto=https;host=forged, for=198.51.100.1;proto=http;by=_proxy',
      { ip: '198.51.100.1', host: 'test', protocol: 'http' }
    ],
    ['for=198.51.100.1, for="127.0.0.1:80"', { ip: '198.51.100.1', host: 'test', protocol: 'http' }],
    ['for="a\\"b, for=203.0.113.9", , for=198.51.100.1', { ip: '198.51.100.1', host: 'test', protocol: 'http' }],
    ['for=198.51.100.1, for=unknown', { ip: PROXY, host: 'test', protocol: 'http' }],
    ['proto=https', { ip: PROXY, host: 'test', protocol: 'https' }]
  ]
  for (const [forwarded, expected] of cases) {
    const given = {
      'x-forwarded-for': '203.0.113.66',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.example'
    }
    const { ips: _, ...seen } = (await see({ forwarded, ...given })) as Seen
    assert.deepEqual(seen, expected, forwarded)
    assert.equal(
      ((await see({ forwarded, ...given }, '127.0.0.2')) as Seen).ip,
      '127.0.0.2',
      'another peer is not believed'
    )
  }
  for (const malformed of [
    'for="198.51.100.1',
    'for="x, for=198.51.100.1',
    '198.51.100.1',
    'for=a;for=b',
    'for=[::1]'
  ]) {
    assert.equal(await see({ forwarded: malformed }), 400, malformed)
  }
  const host = 'for=198.51.100.1;host="a/b"'
  assert.equal(await see({ forwarded: host }), 400, 'a host that is none')
})

test('X-Forwarded-Host is ignored unless FORWARDED_HOST=trust, and then accepted only from TRUST_PROXY', async (t) => {
  const evil = { 'x-forwarded-host': 'evil.example', origin: 'https://evil.example', 'x-forwarded-proto': 'https' }
  const ignoring = await start(t)
  assert.equal(((await ignoring.see(evil)) as Seen).host, 'test')
  assert.equal((await once(ignoring.port, 'POST', '/change', evil)).status, 403, 'the page is one of another site')
  assert.equal(((await ignoring.see({ 'x-forwarded-host': 'a/b' })) as Seen).host, 'test')

  const trusting = await start(t, { FORWARDED_HOST: 'trust' })
  const named = (host: string) => ({ 'x-forwarded-host': host })
  assert.equal(((await trusting.see(named('a.example:8443'))) as Seen).host, 'a.example:8443')
  assert.equal(((await trusting.see(named('forged, a.example'))) as Seen).host, 'a.example', 'what the proxy appends')
  assert.equal(((await trusting.see(named('evil.example'), '127.0.0.2')) as Seen).host, 'test', 'from another peer')
  const page = { ...named('a.example'), origin: 'https://a.example' }
  assert.equal((await once(trusting.port, 'POST', '/change', page)).status, 200)
  assert.equal((await once(trusting.port, 'POST', '/change', { origin: 'https://a.example' })).status, 403)
  for (const invalid of ['a/b', 'me@a.example', 'a b', 'a.example:http', 'a.example, a/b', '[::1']) {
    assert.equal(await trusting.see(named(invalid)), 400, invalid)
  }
})

for (const env of [{}, { TRUST_PROXY: PROXY }]) {
  const mode = 'TRUST_PROXY' in env ? 'behind a proxy' : 'without a proxy'
  test(`${mode}: the client of a request that undici has sent on stays known`, async (t) => {
    const lines: { msg: string; ip?: string }[] = []
    const seen: unknown[] = []
    const { port } = await startApp(t, {
      listen: true,
      env,
      onLog: (line) => lines.push(JSON.parse(line)),
      routes: async (app) => {
        app.get('/sent-on', { config: { session: false } }, async (request) => {
          // As undici does with a request whose body it has read.
          Object.assign(request.raw, { socket: null })
          return { protocol: request.protocol }
        })
        app.addHook('onResponse', async ({ ip, host }) => void seen.push(ip, host))
      }
    })
    assert.equal((await once(port, 'GET', '/sent-on', { 'x-forwarded-for': '192.0.2.7' })).status, 200)
    const ip = 'TRUST_PROXY' in env ? '192.0.2.7' : '127.0.0.1'
    await until(() => lines.some(({ msg }) => msg === 'request'), 'the log line')
    assert.equal(lines.find(({ msg }) => msg === 'request')?.ip, ip)
    assert.deepEqual(seen, [ip, 'test'])
  })
}
