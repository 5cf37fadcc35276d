import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { missing } from '../helpers/programs.ts'
import { START, startService } from '../helpers/service.ts'

test('on a terminal the first line says ready, and a request is one line', { skip: missing('script') }, async (t) => {
  const service = await startService(t, { command: `script -qec '${START}' /dev/null`, workers: 1, wait: false })
  const isShown = (pattern: RegExp) => (line: { msg: string }) => pattern.test(stripVTControlCharacters(line.msg))
  const { msg } = await service.line(isShown(/ready on/))
  const [, url] = /^\d\d:\d\d:\d\d ready on (\S+) · 1 worker · \w+ \d+\.\d+ \(embedded\)$/.exec(
    stripVTControlCharacters(msg)
  ) ?? ['', '']
  assert.notEqual(url, '', msg)
  assert.equal(service.lines[0]?.msg, msg)
  await (await fetch(`${url.replace('localhost', '127.0.0.1')}/hits`)).text()
  await (await fetch(`${url.replace('localhost', '127.0.0.1')}/nowhere`)).text()
  await service.line(isShown(/GET \/nowhere 404/))
  const requests = service.lines.slice(1).map((line) => stripVTControlCharacters(line.msg))
  assert.equal(requests.length, 2, requests.join('\n'))
  assert.match(requests[0]!, /^\d\d:\d\d:\d\d GET \/hits 200 [\d.]+ m?s · worker 0$/)
})

test('LOG_FORMAT=pretty shows text without colours in a pipe', async (t) => {
  const service = await startService(t, { env: { LOG_FORMAT: 'pretty' }, workers: 1, wait: false })
  assert.match((await service.line(() => true)).msg, /^\d\d:\d\d:\d\d ready on http:\/\/localhost:\d+ · 1 worker · /)
})
