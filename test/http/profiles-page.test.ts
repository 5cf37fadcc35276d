import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { TOKENS } from '../helpers/admin.ts'
import { startApp, Visitor } from '../helpers/app.ts'
import { temporaryFolder } from '../helpers/service.ts'

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** The paths of the files that a text names. */
const pathsIn = (text: string) =>
  [...text.matchAll(/["'](\/admin\/profiles\/assets\/[^"']+)["']/g)].map(([, path]) => path!)

test('the page of profiles loads only its own files, and so does the thread that reads heap snapshots', async (t) => {
  const { app } = await startApp(t, { env: TOKENS })
  const visitor = new Visitor(app)
  const page = await visitor.get('/admin/profiles')
  assert.equal(page.statusCode, 200)
  assert.doesNotMatch(page.body, /\{\{|undefined|<script>|<style|style="| on\w+="/)
  const found = new Map([['/admin/profiles', page]])
  for (const [, { body }] of found) {
    for (const path of pathsIn(body)) if (!found.has(path)) found.set(path, await visitor.get(path))
  }
  assert.equal(found.size, 21)
  let bytes = 0
  for (const [path, { statusCode, headers, body, rawPayload }] of found) {
    assert.equal(statusCode, 200, path)
    assert.match(headers['content-security-policy'] as string, /^default-src 'none'; script-src 'self'; /, path)
    assert.doesNotMatch(body, /sourceMappingURL| from '\.|https?:\/\/(?!www\.w3\.org)/, path)
    bytes += rawPayload.length
  }
  assert.ok(bytes > 30_000 && bytes < 100 * 1024, `${bytes} bytes`)
  const { app: without } = await startApp(t)
  for (const path of found.keys()) assert.equal((await new Visitor(without).get(path)).statusCode, 404, path)
})

test('the list of files names what profile, heap and report have written, with its worker; it needs the control token', async (t) => {
  const runDir = temporaryFolder(t)
  const origin = { slot: 1, pid: 42, generation: 3, release: '1.0.0-abc', role: 'canary', root: '/srv/app' }
  const files = {
    'profile-1-42-20260131T120000000Z.cpuprofile': JSON.stringify({ nodes: [], samples: [], muster: origin }),
    'profile-0-41-20260131T110000000Z.cpuprofile': '{"nodes":[],"samples":[]}',
    'heap-0-41-20260131T100000000Z.heapsnapshot': '{}',
    'report-0-41-20260131T090000000Z.json': '{}',
    'profile-1-42.cpuprofile': '{}',
    'secret.json': '{}'
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(runDir, name), text)
  mkdirSync(join(runDir, 'redis'))
  const { app } = await startApp(t, { env: { ...TOKENS, RUN_DIR: runDir } })
  const visitor = new Visitor(app)
  assert.equal((await visitor.get('/admin/files')).statusCode, 401)
  assert.equal((await visitor.get('/admin/files', bearer(TOKENS.ADMIN_READ_TOKEN))).statusCode, 403)
  const answer = await visitor.get('/admin/files', bearer(TOKENS.ADMIN_TOKEN))
  assert.equal(answer.statusCode, 200)
  const names = Object.keys(files)
  assert.deepEqual(answer.json(), [
    {
      name: names[0],
      kind: 'profile',
      slot: 1,
      pid: 42,
      at: '2026-01-31T12:00:00.000Z',
      bytes: files[names[0] as keyof typeof files].length,
      generation: 3,
      release: '1.0.0-abc',
      role: 'canary'
    },
    { name: names[1], kind: 'profile', slot: 0, pid: 41, at: '2026-01-31T11:00:00.000Z', bytes: 25 },
    { name: names[2], kind: 'heap', slot: 0, pid: 41, at: '2026-01-31T10:00:00.000Z', bytes: 2 },
    { name: names[3], kind: 'report', slot: 0, pid: 41, at: '2026-01-31T09:00:00.000Z', bytes: 2 }
  ])
})
