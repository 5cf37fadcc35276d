import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { testOf } from '../helpers/block-tests.ts'
import { type Block, blocksOf, commandsOf, PAGES, ROOT } from '../helpers/documents.ts'
import { startRedis } from '../helpers/redis.ts'
import { cleanEnvironment, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

/**
 * Run elsewhere: by CI itself, by scripts/docker-check.sh, by cluster/chaos and sim/simulated-week, or too long for a test.
 * unit/docs-blocks checks the scenarios of the bench.
 */
const ELSEWHERE = /^(npm (ci|test|run (bench|chaos|playground|simulate))|scripts\/docker-check)|\bdocker /
/** Blocks that start a service with other settings than the one that runs here, by their first line, with the test that does it. */
const OTHER_SERVICE: Record<string, string> = {
  'npm install muster-serve': 'cluster/package',
  'npx muster dev app.ts': 'cluster/dev',
  'PROXY_PROTOCOL=10.0.0.0/24 npm start': 'cluster/proxy-protocol',
  'REDIS_URL=redis://user:password@redis.example:6379 npm start': 'cluster/redis-acl',
  'HOST=/run/muster/muster.sock TRUST_PROXY=127.0.0.1 npm start': 'cluster/unix-socket',
  'ADMIN_PORT=9100 ADMIN_HOST=10.0.0.5 npm start': 'cluster/admin-port',
  'REDIS_URL=redis+sentinel://10.0.0.5,10.0.0.6,10.0.0.7/mymaster REDIS_DURABILITY=replicas:1 npm start':
    'cluster/redis-durability'
}

const blocks = PAGES.flatMap(blocksOf).filter((block) => block.language === 'sh' && testOf(block) === 'cluster/docs')
const firstOf = (block: Block) => commandsOf(block)[0] ?? ''

test('every block that starts a service of its own has a test that starts one like it', () => {
  const first = blocks.map(firstOf)
  for (const [line, name] of Object.entries(OTHER_SERVICE)) {
    assert.ok(first.includes(line), `no page has ${line}`)
    assert.ok(existsSync(join(ROOT, 'test', `${name}.test.ts`)), name)
  }
})

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
  const commands = blocks
    .filter((block) => !(firstOf(block) in OTHER_SERVICE))
    .flatMap(commandsOf)
    .filter((command) => !ELSEWHERE.test(command))
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
  const [{ code } = { code: '' }] = blocksOf('README.md').filter(({ file }) => file === 'app.mjs')
  const app = join(temporaryFolder(t), 'app.mjs')
  writeFileSync(app, code)
  const service = await startService(t, { env: { REDIS_URL: url, APP: app } })
  const answer = await fetch(`${service.url}/hello`)
  assert.equal(((await answer.json()) as { hits: number }).hits, 1)
  assert.match(answer.headers.get('set-cookie') ?? '', /^sid=/)
  assert.equal((await fetch(`${service.url}/hits`)).status, 404, 'the example is gone')
  assert.equal((await fetch(`${service.url}/readyz`)).status, 200)
})
