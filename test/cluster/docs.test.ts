import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startRedis } from '../helpers/redis.ts'
import { cleanEnvironment, startService, temporaryFolder } from '../helpers/service.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PAGES = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file))
]
/** Run elsewhere: by CI itself, by scripts/docker-check.sh, or too long for a test. */
const ELSEWHERE = /^(npm (ci|test|run bench)|docker |scripts\/docker-check)/
/** Blocks that start a service with other settings than the one that runs here; the tests of these settings cover them. */
const OTHER_SERVICE = /^(([A-Z_]+=\S+ )+npm start|npx muster (start|dev))/m

/** The lines of all `sh` blocks of a page. */
function commandsOf(page: string): string[] {
  const blocks = [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```sh\n(.*?)^```/gms)]
  return blocks
    .map(([, block = '']) => block)
    .filter((block) => !OTHER_SERVICE.test(block))
    .flatMap((block) => block.split('\n'))
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

test('every command in the documentation works', async (t) => {
  const { url } = await startRedis(t)
  const folder = temporaryFolder(t)
  const service = await startService(t, { env: { REDIS_URL: url }, runDir: join(folder, '.run') })
  // As a user in a checkout types them; only the port is another.
  const run = (command: string) =>
    promisify(execFile)(
      'sh',
      ['-ec', command.replaceAll('npx muster', 'muster').replaceAll('localhost:8080', `127.0.0.1:${service.port}`)],
      {
        cwd: folder,
        env: { ...cleanEnvironment(), PATH: `${folder}/bin:${dirname(process.execPath)}:${process.env.PATH}` }
      }
    )
  await run(
    `mkdir -p bin && printf '#!/bin/sh\\nexec "${process.execPath}" "${ROOT}dist/src/cli/muster.js" "$@"\\n' > bin/muster && chmod +x bin/muster`
  )
  const commands = PAGES.flatMap(commandsOf).filter((command) => !ELSEWHERE.test(command))
  assert.ok(commands.length >= 8, `${commands.length} commands found`)
  for (const command of commands) {
    if (command.startsWith('curl')) {
      assert.match(command, /localhost:8080\//)
      const { stdout } = await run(command.replace('curl', 'curl -sSf'))
      assert.notEqual(stdout, '', command)
    } else await run(command)
  }
})

test("the README's first route runs as it stands", async (t) => {
  const { url } = await startRedis(t)
  const [, code = ''] =
    /^```js\n\/\/ app\.mjs[^\n]*\n(.*?)^```/ms.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? []
  const app = join(temporaryFolder(t), 'app.mjs')
  writeFileSync(app, code)
  const service = await startService(t, { env: { REDIS_URL: url, APP: app } })
  const answer = await fetch(`${service.url}/hello`)
  assert.equal(((await answer.json()) as { hits: number }).hits, 1)
  assert.match(answer.headers.get('set-cookie') ?? '', /^sid=/)
  assert.equal((await fetch(`${service.url}/hits`)).status, 404, 'the example is gone')
  assert.equal((await fetch(`${service.url}/readyz`)).status, 200)
})
