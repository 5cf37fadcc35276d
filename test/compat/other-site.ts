import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** Logs in at the API of another origin, then asks it who is logged in, both with cookies. */
const PAGE = `<!doctype html>
<title>Other site</title>
<link rel="icon" href="data:,">
<p id="result"></p>
<script type="module">
  const api = new URLSearchParams(location.search).get('api')
  const call = async (path, body) => {
    const response = await fetch(api + path, {
      credentials: 'include',
      ...(body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    })
    return (await response.json()).user
  }
  const before = await call('/api/me')
  await call('/api/login', { user: 'grace' })
  document.querySelector('#result').textContent = 'before: ' + before + ', after: ' + await call('/api/me')
</script>`

/** Starts a site with one page that uses the API of another origin. @returns its origin */
export async function startOtherSite(t: TestContext): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(PAGE)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://localhost:${(server.address() as AddressInfo).port}`
}
