import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startModule } from '../helpers/modules.ts'
import '../helpers/takes-long.ts'

/** @returns why the service did not start */
async function refusal(t: TestContext, name: string, source: string, env = {}): Promise<string> {
  const service = await startModule(t, name, source, env, false)
  assert.deepEqual(await service.exited, { code: 78, signal: null })
  return service.stderr
}

test('a module without an app is refused', async (t) => {
  assert.match(
    await refusal(t, 'app.mjs', 'export default 3000'),
    /the default export of .* is a number\. Export a Fastify/
  )
  assert.match(await refusal(t, 'app.mjs', 'export default class App {}'), /is a class\. Export/)
  const kind = "export const muster = { kind: 'listener' }"
  assert.match(await refusal(t, 'app.mjs', kind), /says kind: 'listener', but its default export is no function/)
  const nothing = await startModule(t, 'app.mjs', 'export const app = {}', { BOOT_TIMEOUT: '10000' }, false)
  await nothing.line(({ msg, app }) => msg === 'app not loaded yet' && String(app).endsWith('app.mjs'))
  assert.equal((await nothing.exited).code, 78)
  assert.match(nothing.stderr, /exports no app, and no server listened within BOOT_TIMEOUT/)
})

test('a module with two apps is refused', async (t) => {
  const listens = "require('node:http').createServer(() => {}).listen(3000)"
  assert.match(await refusal(t, 'app.cjs', `${listens};${listens}`), /APP has two apps/)
  assert.match(await refusal(t, 'app.cjs', `${listens}; module.exports = async () => {}`), /APP has two apps/)
  const caught = `try { ${listens}; ${listens} } catch {}`
  assert.match(await refusal(t, 'app.cjs', caught), /APP has two apps/)
})

test('what cannot be honoured is refused', async (t) => {
  const options = 'export const options = { trustProxy: true }; export default (request, response) => response.end()'
  assert.match(await refusal(t, 'app.mjs', options), /exports options, which only a plugin can have/)
  const secure = "require('node:https').createServer(() => {}).listen(3000)"
  assert.match(await refusal(t, 'app.cjs', secure), /opens a server of HTTPS or HTTP\/2.*set TLS_CERT/)
  const hono = 'export default { fetch: async () => new Response() }'
  assert.match(await refusal(t, 'app.mjs', hono), /needs the package @hono\/node-server/)
})
