import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { missing } from '../helpers/programs.ts'
import { CLI, cleanEnvironment, START, startService } from '../helpers/service.ts'
import { Terminal } from '../helpers/terminal.ts'
import '../helpers/takes-long.ts'

/** A busy machine alone makes a primary say this. */
const STALLED = /primary stalled/

test('on a terminal the first line says ready, and a request is one line', { skip: missing('script') }, async (t) => {
  const service = await startService(t, { command: `script -qec '${START}' /dev/null`, workers: 1, wait: false })
  const isShown = (pattern: RegExp) => (line: { msg: string }) => pattern.test(stripVTControlCharacters(line.msg))
  const { msg } = await service.line(isShown(/ready on/))
  const [, url] = /^\d\d:\d\d:\d\d ready on (\S+) · 1 worker · \w+ \d+\.\d+ \(embedded\)$/.exec(
    stripVTControlCharacters(msg)
  ) ?? ['', '']
  assert.notEqual(url, '', msg)
  assert.equal(service.lines.find((line) => !STALLED.test(line.msg))?.msg, msg)
  await (await fetch(`${url.replace('localhost', '127.0.0.1')}/hits`)).text()
  await (await fetch(`${url.replace('localhost', '127.0.0.1')}/nowhere`)).text()
  await service.line(isShown(/GET \/nowhere 404/))
  const lines = service.lines.map((line) => stripVTControlCharacters(line.msg))
  const [, ...requests] = lines.filter((line) => !STALLED.test(line))
  assert.equal(requests.length, 2, requests.join('\n'))
  assert.match(requests[0]!, /^\d\d:\d\d:\d\d GET \/hits 200 [\d.]+ m?s · worker 0$/)
})

test('LOG_FORMAT=pretty shows text without colours in a pipe', async (t) => {
  const service = await startService(t, { env: { LOG_FORMAT: 'pretty' }, workers: 1, wait: false })
  assert.match(
    (await service.line(({ msg }) => !STALLED.test(msg))).msg,
    /^\d\d:\d\d:\d\d ready on http:\/\/localhost:\d+ · 1 worker · /
  )
})

test('status --watch redraws in place, and gives the terminal back when it ends', {
  skip: missing('script')
}, async (t) => {
  const service = await startService(t, { workers: 1 })
  const env = { ...cleanEnvironment(), RUN_DIR: service.runDir }
  const terminal = new Terminal(t, `"${process.execPath}" "${CLI}" status --watch`, env, { rows: 9, columns: 60 })
  // Two frames, each from the upper left corner; each line erases what is left of the line before it.
  await terminal.shows(/␛\[H(.*␛\[K\r\n)+.*␛\[K␛\[J␛\[H/, 'escaped')
  await terminal.shows(/running on http:[\s\S]*0 +\d+ +ready[\s\S]*every second · Ctrl-C ends/)
  const [frame = ''] = terminal.raw.split('\x1b[J')
  assert.ok(frame.split('\r\n').length <= 9, 'no frame is higher than the terminal')
  assert.ok(terminal.raw.startsWith('\x1b[?1049h'), JSON.stringify(terminal.raw))
  const ended = once(terminal.child, 'close')
  terminal.type('\x03')
  await ended
  assert.ok(terminal.raw.endsWith('\x1b[?1049l'), JSON.stringify(terminal.raw.slice(-40)))
})

test('failures are red on a terminal, and without colour when NO_COLOR is set', {
  skip: missing('script')
}, async (t) => {
  const service = await startService(t, { workers: 1 })
  const env = { ...cleanEnvironment(), RUN_DIR: service.runDir }
  const pid = [...service.workers().keys()][0]!
  process.kill(pid, 'SIGKILL')
  await service.line(({ msg, worker }) => msg === 'worker exited' && worker === pid)
  for (const [variables, isRed] of [
    [{}, true],
    [{ NO_COLOR: '1' }, false]
  ] as const) {
    const terminal = new Terminal(t, `"${process.execPath}" "${CLI}" why`, { ...env, ...variables })
    await once(terminal.child, 'close')
    assert.match(terminal.text, /exited +0 +\d+ +1 +SIGKILL/)
    assert.equal(terminal.raw.includes('\x1b[31m'), isRed, JSON.stringify(terminal.raw))
  }
})
