import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pack, run } from '../helpers/package.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const SHARED = ['.dockerignore', '.env.example', '.gitignore', 'Dockerfile', 'docker-compose.yml', 'package.json']
const FILES = {
  typescript: [...SHARED, 'app.test.ts', 'app.ts', 'tsconfig.json'],
  javascript: [...SHARED, 'app.js', 'app.test.js']
}
const removals: (() => unknown)[] = []
let tarball = ''

before(async () => {
  tarball = (await pack({ after: (remove) => void removals.push(remove as () => unknown) })).file
})
after(() => removals.map((remove) => remove()))

for (const language of ['typescript', 'javascript'] as const) {
  test(`a new app in ${language} starts, ends at SIGTERM, and passes its test and the compiler`, async (t) => {
    const spec = `file:${tarball}`
    const parent = temporaryFolder(t)
    const { stdout } = await run(parent, 'npx', '--yes', '--prefer-offline', spec, 'init', 'demo', `--${language}`)
    assert.match(stdout, /\nNext:\n {2}cd demo && npm install\n {2}npm start\n$/)
    const folder = join(parent, 'demo')
    assert.deepEqual(readdirSync(folder).sort(), FILES[language].sort())
    const description = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    assert.equal(description.name, 'demo')
    assert.match(description.dependencies['muster-serve'], /^\^\d+\.\d+\.\d+$/)
    // In place of the registry's.
    description.dependencies['muster-serve'] = spec
    writeFileSync(join(folder, 'package.json'), JSON.stringify(description))
    await run(folder, 'npm', 'install', '--prefer-offline')

    const { url } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url, APP: '' }, command: `env -C '${folder}' npm start` })
    const hits = async () => ((await (await fetch(service.url)).json()) as { hits: number }).hits
    assert.deepEqual([await hits(), await hits()], [1, 2])
    assert.deepEqual(await service.stop(), { code: 0, signal: null })

    const tested = await run(folder, 'npm', 'test')
    assert.match(tested.stdout, /^# pass 3$|ℹ pass 3$/m)
    if (language === 'typescript') {
      await run(folder, 'npm', 'run', 'check')
      await run(folder, 'npx', 'tsc', '--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false')
    }
  })
}
