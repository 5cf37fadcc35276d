import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once as onceEvent } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { bodyOf, develop, printed } from '../helpers/develop.ts'
import { CLI, cleanEnvironment, processesWith } from '../helpers/service.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const APP = `import type { FastifyInstance } from 'fastify'
  import { text } from './lib/text.ts'
  export default async (app: FastifyInstance): Promise<void> => void app.get('/', async () => text)`
const textOf = (text: string) => `export const text: string = '${text}'\n`

test('muster dev serves every change of a TypeScript file that the app imports, twenty times in a row', async (t) => {
  const files = { 'package.json': '{"type":"module"}', 'app.ts': APP, 'lib/text.ts': textOf('v0') }
  const { service, write, rollout } = await develop(t, files, 'app.ts')
  assert.equal(await bodyOf(service), 'v0')
  for (let version = 1; version <= 20; version++) {
    const from = service.lines.length
    write('lib/text.ts', textOf(`v${version}`))
    await rollout('done', from)
    assert.equal(await bodyOf(service), `v${version}`)
  }
  const from = service.lines.length
  write('app.ts', APP.replace('() => text', '() => `app of $' + '{text}`'))
  await rollout('done', from)
  assert.equal(await bodyOf(service), 'app of v20')
  assert.deepEqual(await service.stop('SIGINT'), { code: 0, signal: null })
  assert.deepEqual(processesWith(service.runDir), [])
})

test('an error shows file, line and column, the code before it serves, and a fix recovers', async (t) => {
  const files = {
    'package.json': '{"type":"module"}',
    'app.js': `import { text } from './text.js'\nexport default async (app) => void app.get('/', () => text)`,
    'text.js': `export const text = 'good'`
  }
  const { service, write, rollout } = await develop(t, files, 'app.js')
  let from = service.lines.length
  write('text.js', `export const text =\n  = 'bad'`)
  await rollout('failed', from)
  await printed(service, /text\.js:2:3: SyntaxError.*\n.*\n.*\n+muster: waiting until a file changes/)
  assert.equal(await bodyOf(service), 'good')
  await printed(service, /not fixed yet, the code from before serves: .*text\.js:2:3: SyntaxError/)
  from = service.lines.length
  write('text.js', `import './missing/more.js'\nexport const text = 'better'`)
  await rollout('failed', from)
  from = service.lines.length
  write('missing/more.js', '')
  await rollout('done', from)
  await printed(service, /the error is fixed/)
  assert.equal(await bodyOf(service), 'better')
})

test('an app that cannot start at first, in CommonJS, waits for its fix, and Ctrl-C ends it meanwhile too', async (t) => {
  const files = {
    'app.js': `const text = require('./lib/text')\nmodule.exports = async (app) => void app.get('/', () => text)`,
    'lib/text.js': `module.exports = nothing`
  }
  const { service, write } = await develop(t, files, 'app.js', false)
  await printed(service, /nothing is not defined[\s\S]*lib\/text\.js:1:18[\s\S]*waiting until a file changes/)
  write('lib/text.js', `module.exports = 'there'`)
  await service.ready(1)
  service.port = (await service.line(({ msg }) => msg === 'muster started')).port!
  assert.equal(await bodyOf(service), 'there')
  const from = service.lines.length
  write('lib/text.js', `process.exit(3)`)
  await service.line(({ msg }) => msg === 'rollout failed', from)
  await printed(service, /the app ended while it started: exit code 3/)
  assert.deepEqual(await service.stop('SIGINT'), { code: 0, signal: null })
  assert.deepEqual(processesWith(service.runDir), [])
})

test('a debugger attaches to the worker at one address, before and after a reload, and does not hold up the end', async (t) => {
  const files = {
    'app.mjs': `export default async (app) => void app.get('/', () => 'first')`,
    'pages/page.html': 'first'
  }
  const { service, write, rollout } = await develop(t, files, 'app.mjs --inspect=0 --watch pages')
  const { address } = await service.line(({ msg }) => msg === 'debuggers connect here')
  const before = await attach(String(address))
  assert.equal(before.pid, [...service.workers().keys()][0])
  const from = service.lines.length
  write('pages/page.html', 'second')
  await rollout('done', from)
  await before.closed
  const after = await attach(String(address))
  assert.equal(after.pid, [...service.workers().keys()][0])
  assert.notEqual(after.pid, before.pid)
  assert.deepEqual(await service.stop('SIGINT'), { code: 0, signal: null })
  assert.ok(!service.lines.some(({ msg }) => msg === 'worker killed'), service.tail())
})

/** Attaches a debugger. @returns the id of the process that it debugs */
async function attach(address: string): Promise<{ pid: unknown; closed: Promise<unknown> }> {
  const targets = (await (await fetch(`http://${address}/json/list`)).json()) as { webSocketDebuggerUrl: string }[]
  const socket = new WebSocket(targets[0]!.webSocketDebuggerUrl)
  const closed = onceEvent(socket, 'close')
  await onceEvent(socket, 'open')
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'process.pid' } }))
  const [answer] = (await onceEvent(socket, 'message')) as [Buffer]
  return { pid: JSON.parse(String(answer)).result.result.value, closed }
}

test('wrong flags of muster dev are refused, and its help lists them', async () => {
  const run = (...args: string[]) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      execFile(process.execPath, [CLI, 'dev', ...args], { env: cleanEnvironment() }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
      )
    })
  const unknown = await run('--inpsect')
  assert.equal(unknown.code, 2)
  assert.match(unknown.stderr, /unknown flag --inpsect, did you mean --inspect\?/)
  assert.match((await run('--inspect=here')).stderr, /--inspect must be a port or HOST:PORT/)
  const { code, stdout } = await run('--help')
  assert.equal(code, 0)
  assert.match(stdout, /--inspect\[=PORT\][\s\S]*--watch PATH[\s\S]*--port/)
})
