import assert from 'node:assert/strict'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { temporaryFolder } from '../helpers/service.ts'

/** What this test uses of docs/playground/simulated-service.js. */
interface SimulatedService {
  state: { generation: number; workers: { status: string; generation: number }[] }
  log: { text: string }[]
  reload(release: string): void
  advance(ms: number): void
}

// The playground is JavaScript for browsers, so the compiler does not see that a limit is missing there.
test('the simulated service of the playground reloads, and rolls bad releases back', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  cpSync('docs/playground/simulated-service.js', join(folder, 'simulated-service.js'))
  cpSync('dist/src/primary/policy', join(folder, 'policy'), { recursive: true })
  const module = await import(pathToFileURL(join(folder, 'simulated-service.js')).href)
  const service: SimulatedService = new module.SimulatedService({ random: () => 0.5 })
  const generations = () => service.state.workers.map(({ status, generation }) => `${status} ${generation}`)
  const reload = (release: string) => {
    service.reload(release)
    service.advance(60_000)
    return service.log.map(({ text }) => text).findLast((text) => text.startsWith('the reload')) ?? 'undecided'
  }

  service.advance(2000)
  assert.deepEqual(generations(), Array(4).fill('ready 1'))
  assert.equal(reload('good'), 'the reload to generation 2 is done')
  for (const release of ['errors', 'cannot-boot', 'crashes']) {
    assert.match(reload(release), /^the reload to generation \d+ is failed: /, release)
    assert.deepEqual(generations(), Array(4).fill('ready 2'), release)
  }
})
