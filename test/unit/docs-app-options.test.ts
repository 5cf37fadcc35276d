import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { APP_OPTIONS, checkServed } from '../../src/http/check-app-options.ts'
import { REFUSED_OPTIONS } from '../../src/http/server-options.ts'

const page = readFileSync('docs/reference/app-options.md', 'utf8')
const examplesIn = (text: string) => [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code = '']) => code)
const load = (code: string) => import(`data:text/javascript,${encodeURIComponent(code)}`)

describe('docs/reference/app-options.md', () => {
  for (const name of APP_OPTIONS) {
    test(`has a section about ${name}, with an example that is valid`, async () => {
      const [, section] = page.match(new RegExp(`^### ${name}\n(.*?)(?=^##)`, 'ms')) ?? []
      assert.ok(section, 'no section')
      const examples = examplesIn(section)
      assert.ok(examples.length > 0, 'no example')
      for (const code of examples) {
        const { muster } = await load(code)
        assert.ok(name in muster)
        checkServed({ options: muster, serverOptions: {} })
      }
    })
  }

  test('has valid examples of both exports', async () => {
    for (const code of examplesIn(page)) {
      const { muster = {}, options = {} } = await load(code)
      checkServed({ options: muster, serverOptions: options })
    }
  })

  test('names every option of Fastify that is refused, and only these', () => {
    const [, table = ''] = page.match(/^\| option \| set instead \|\n(.*)/ms) ?? []
    const named = [...table.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`(\w+)`/g)])
    assert.deepEqual(named.map(([, name]) => name).toSorted(), [...REFUSED_OPTIONS].toSorted())
  })
})
