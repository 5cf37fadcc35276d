import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LightMyRequestResponse } from 'fastify'
import { TOKENS } from '../helpers/admin.ts'
import { startApp, Visitor } from '../helpers/app.ts'

const CHROME = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'

const PAGES = ['/', '/admin']

const accepts: [accept: string | undefined, type: 'html' | 'json', who: string][] = [
  [CHROME, 'html', 'a browser'],
  ['text/html', 'html', 'who wants only HTML'],
  ['application/json;q=0.5, text/html', 'html', 'who prefers HTML'],
  ['*/*', 'json', 'curl'],
  [undefined, 'json', 'who does not say'],
  ['application/json', 'json', 'a program'],
  ['text/html;q=0.5, application/json', 'json', 'who prefers JSON'],
  ['image/png', 'json', 'who wants what there is not'],
  ['rubbish', 'json', 'who talks rubbish']
]
test('browsers get the page, other clients get JSON', async (t) => {
  const { app } = await startApp(t)
  for (const [accept, type, who] of accepts) {
    await t.test(`${who} (Accept: ${accept ?? 'none'}): ${type}`, async () => {
      const response = await new Visitor(app).get('/', accept === undefined ? {} : { accept })
      assert.equal(response.statusCode, 200)
      if (type === 'json') {
        assert.equal(response.json().visits, 1)
      } else {
        assert.equal(response.headers['content-type'], 'text/html; charset=utf-8')
        assert.match(response.body, /^<!doctype html>/)
      }
    })
  }
})

test('the type stays right for a header that comes again, and after more headers than are remembered', async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  const typeOf = async (accept: string) =>
    String((await visitor.get('/', { accept })).headers['content-type']).split(';')[0]
  for (let i = 0; i < 120; i++) {
    assert.equal(await typeOf(`text/html;q=0.${100 + i}, application/json;q=0.1`), 'text/html')
    assert.equal(
      await typeOf(`text/html;q=0.1, application/json;q=0.${100 + i}`),
      i === 0 ? 'text/html' : 'application/json'
    )
  }
  for (const accept of [CHROME, CHROME]) assert.equal(await typeOf(accept), 'text/html')
  for (const accept of ['*/*', '*/*']) assert.equal(await typeOf(accept), 'application/json')
})

test('the page shows the numbers of its own request', async (t) => {
  const { app, redis } = await startApp(t, { slot: 5 })
  await redis.set('muster:hits', 1233)
  const visitor = new Visitor(app)
  const first = await visitor.get('/', { accept: CHROME })
  assert.match(first.body, /value="1234">1234</)
  assert.match(first.body, /slot 5/)
  assert.match(first.body, new RegExp(`id="pid">${process.pid}<`))
  assert.match((await visitor.get('/', { accept: CHROME })).body, /value="2">2</, 'the second visit')
  assert.doesNotMatch(first.body, /\{\{|undefined/, 'a hole in the page')
})

/** A page and all files that it references, directly or through another file. */
async function filesOf(visitor: Visitor, page: string) {
  const html = await visitor.get(page, { accept: CHROME })
  const files = new Map<string, LightMyRequestResponse>()
  const follow = async (text: string) => {
    for (const [, path = ''] of text.matchAll(/["']((?:\/admin)?\/assets\/[^"']+)["']/g)) {
      if (files.has(path)) continue
      files.set(path, await visitor.get(path))
      await follow(files.get(path)!.body)
    }
  }
  await follow(html.body)
  return { html, files }
}

for (const page of PAGES) {
  test(`${page} allows nothing but its own scripts and styles`, async (t) => {
    const { app } = await startApp(t, { env: TOKENS })
    const response = await new Visitor(app).get(page, { accept: CHROME })
    const policy = response.headers['content-security-policy'] as string
    assert.match(policy, /default-src 'none'/)
    assert.match(policy, /script-src 'self'/)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /unsafe|\*/)
    assert.doesNotMatch(response.body, /<script>|<style|style="| on\w+="/, 'what the policy would stop')
  })

  test(`scripts and styles of ${page} may be cached forever, because their names change with their content`, async (t) => {
    const { app } = await startApp(t, { env: TOKENS })
    const visitor = new Visitor(app)
    const { files } = await filesOf(visitor, page)
    const types = { css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', svg: 'image/svg+xml' }
    assert.deepEqual(
      [...new Set([...files.keys()].map((path) => path.split('.').at(-1)))].sort(),
      Object.keys(types),
      'the kinds of files'
    )
    for (const [path, response] of files) {
      const [, extension] = /\.[0-9a-f]{12}\.(css|js|svg)$/.exec(path)!
      assert.equal(response.statusCode, 200)
      assert.equal(response.headers['content-type'], types[extension as keyof typeof types])
      assert.match(response.headers['cache-control'] as string, /max-age=31536000, immutable/)
      assert.equal(response.headers['set-cookie'], undefined)

      const tag = response.headers.etag as string
      for (const known of [tag, `W/${tag}`, `"other", ${tag}`]) {
        const again = await visitor.get(path, { 'if-none-match': known })
        assert.deepEqual([again.statusCode, again.body, again.headers.etag], [304, '', tag], known)
      }
      assert.equal((await visitor.get(path, { 'if-none-match': '"other"' })).statusCode, 200)
      const head = await visitor.request({ method: 'HEAD', path })
      assert.deepEqual([head.statusCode, head.headers.etag], [200, tag])
    }
  })
}

const LIMITS: [page: string, files: number, kilobytes: number][] = [
  ['/', 7, 40],
  ['/admin', 26, 120]
]
for (const [page, count, kilobytes] of LIMITS) {
  test(`all files of ${page} together are under ${kilobytes} KB, uncompressed`, async (t) => {
    const { app } = await startApp(t, { env: TOKENS })
    const { html, files } = await filesOf(new Visitor(app), page)
    const bytes = [html, ...files.values()].reduce((sum, { rawPayload }) => sum + rawPayload.length, 0)
    assert.equal(1 + files.size, count)
    assert.ok(bytes > kilobytes * 500 && bytes < kilobytes * 1000, `${bytes} bytes`)
  })
}

test('the console exists when a token is configured, also in maintenance; the page itself needs no token and contains no data', async (t) => {
  const { app, view } = await startApp(t, { env: TOKENS })
  const visitor = new Visitor(app)
  await app.shared.settings.set('maintenance', true)
  assert.equal((await visitor.get('/')).statusCode, 503)
  const first = await visitor.get('/admin')
  assert.deepEqual([first.statusCode, first.headers['content-type']], [200, 'text/html; charset=utf-8'])
  assert.equal(first.headers['set-cookie'], undefined)
  assert.doesNotMatch(first.body, /\{\{|undefined/, 'a hole in the page')
  view.workers.push({ slot: 1, pid: 4711, generation: 1, status: 'ready' })
  assert.equal((await visitor.get('/admin/')).body, first.body)
  assert.equal((await visitor.get('/admin', { 'if-none-match': first.headers.etag as string })).statusCode, 304)

  const { app: without } = await startApp(t)
  const [asset] = /\/admin\/assets\/[^"]+/.exec(first.body)!
  for (const path of ['/admin', asset]) assert.equal((await new Visitor(without).get(path)).statusCode, 404, path)
})

test('a name is inserted as text, not as markup', async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  const name = `<script>alert('x')</script>" onload="y`
  assert.equal((await visitor.post('/session', { name })).json().name, name)
  const { body } = await visitor.get('/', { accept: CHROME })
  assert.ok(body.includes('&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;&#34; onload=&#34;y'), 'it is not there')
  assert.ok(!body.includes('<script>alert'), 'it is a tag')
})

test('the forms of the page work without JavaScript and lead back to the page', async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  const page = await visitor.get('/', { accept: CHROME })
  assert.match(page.body, /data-signed-in="no"/)
  const [signIn, signOut] = [...page.body.matchAll(/<form [^>]*method="post" action="([^"]+)"/g)].map(
    (form) => form[1]!
  )

  const signedIn = await visitor.submit(signIn!, { name: 'Ada & Charles' })
  assert.equal(signedIn.statusCode, 303)
  assert.equal(signedIn.headers.location, '/')
  const known = await visitor.get('/', { accept: CHROME })
  assert.match(known.body, /data-signed-in="yes"/)
  assert.match(known.body, /Ada &#38; Charles/)

  const signedOut = await visitor.submit(signOut!, {})
  assert.equal(signedOut.statusCode, 303)
  assert.equal(signedOut.headers.location, '/')
  assert.equal(visitor.cookie, undefined)
  assert.match((await visitor.get('/', { accept: CHROME })).body, /data-signed-in="no"/)
})

test('an invalid form is refused like any other invalid request', async (t) => {
  const { app } = await startApp(t)
  assert.equal((await new Visitor(app).submit('/session', { name: '  ' })).statusCode, 400)
  assert.equal((await new Visitor(app).submit('/session', { nick: 'ada' })).statusCode, 400)
})
