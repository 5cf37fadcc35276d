import assert from 'node:assert/strict'
import { bodyOf, develop } from '../helpers/develop.ts'
import { cpuWaitMs, startLimitMs, timed } from '../helpers/timed.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const LIMIT_MS = 1500
const TIMES = 20

const js = (text: string) =>
  `import { text } from './lib/text.js'\nexport default async (app) => void app.get('/', () => text + '${text}')`
const ts = (text: string) => `import type { FastifyInstance } from 'fastify'
  import { text } from './lib/text.ts'
  export default async (app: FastifyInstance): Promise<void> => void app.get('/', async () => text + '${text}')`

for (const [what, app, files, changed, content] of [
  ['the app', 'app.js', { 'app.js': js('0'), 'lib/text.js': `export const text = ''` }, 'app.js', js],
  [
    'a file that the app imports',
    'app.js',
    { 'app.js': js(''), 'lib/text.js': `export const text = '0'` },
    'lib/text.js',
    (text: string) => `export const text = '${text}'`
  ],
  [
    'an app in TypeScript',
    'app.ts',
    { 'app.ts': ts('0'), 'lib/text.ts': `export const text: string = ''` },
    'app.ts',
    ts
  ]
] as const) {
  timed(`muster dev serves a change of ${what} within 1.5 s, twenty times in a row`, async (t) => {
    const { service, write } = await develop(t, { 'package.json': '{"type":"module"}', ...files }, app)
    assert.equal(await bodyOf(service), '0')
    const took: number[] = []
    for (let version = 1; version <= TIMES; version++) {
      const [begun, waited] = [performance.now(), cpuWaitMs()]
      write(changed, content(String(version)))
      const isServed = async () => (await bodyOf(service)) === String(version)
      // The log says when it is worth a look. Then the answer counts, not the log.
      const from = service.lines.length
      while (!(await isServed()))
        await service.line(({ msg }) => msg === 'worker ready' || msg === 'rollout done', from)
      const [ended, waitedSince] = [performance.now(), cpuWaitMs()]
      took.push(ended - begun - (waitedSince - waited))
      // The next change begins a reload of its own.
      await service.line(({ msg }) => msg === 'rollout done', from)
    }
    t.diagnostic(`without waits for a CPU: ${took.map((ms) => `${Math.round(ms)} ms`).join(', ')}`)
    const limit = startLimitMs(LIMIT_MS)
    assert.ok(Math.max(...took) <= limit, `${Math.max(...took)} ms of ${limit}`)
  })
}
