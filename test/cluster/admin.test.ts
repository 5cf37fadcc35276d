import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { registry } from '../../src/admin/registry.ts'
import { issueOf } from '../../src/state/shared/json-schema-check.ts'
import { type Answer, command, keysOf, overHttp, TOKENS } from '../helpers/admin.ts'
import { CALLS, ELSEWHERE, FAULTS } from '../helpers/command-calls.ts'
import { startRedis } from '../helpers/redis.ts'
import { muster, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

type Transport = (name: string, words: string[], args: object) => Promise<Answer>

describe('every command over every transport', () => {
  let service: Service
  let transports: Record<string, Transport>
  /** What the command `heap` answered over HTTP. */
  let heap: { path: string; bytes: number }
  const cleanups: (() => unknown)[] = []
  const context = { after: (cleanup: () => unknown) => cleanups.push(cleanup) } as never

  before(async () => {
    const { url } = await startRedis(context)
    service = await startService(context, { env: { REDIS_URL: url, CANARY_TIME: '0', MAX_WORKERS: '4', ...TOKENS } })
    transports = {
      socket: async (name, _words, args) => (await command(service, name, args)).body,
      http: async (name, _words, args) => (await overHttp(service.url, name, args)).body,
      muster: async (name, words) => {
        const { stdout, code } = await muster(
          service,
          ...registry
            .get(name)
            .usage.split(' ')
            .filter((word) => /^[a-z]/.test(word)),
          ...words,
          '--json'
        )
        const answer = JSON.parse(stdout) as Answer
        assert.equal(code, answer.ok ? 0 : 1)
        return answer
      }
    }
  })
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup()
  })

  test('the table of this test lists every command', () => {
    assert.deepEqual(Object.keys(CALLS).sort(), [...registry.names].sort())
  })

  for (const name of registry.names.filter((name) => !ELSEWHERE.includes(name))) {
    test(`${name}: answers the same over the socket, over HTTP and on the command line`, async () => {
      const shapes: Record<string, unknown> = {}
      for (const [transport, call] of Object.entries(transports)) {
        const answer = await call(name, ...CALLS[name]!)
        assert.equal(answer.ok, true, `${transport}: ${JSON.stringify(answer)}`)
        assert.equal(issueOf(registry.get(name).result, answer.result), undefined, JSON.stringify(answer.result))
        assert.deepEqual(answer.missing, [], transport)
        if (name === 'heap' && transport === 'http') heap = answer.result
        shapes[transport] = [Object.keys(answer), keysOf(answer.result), answer.acks?.map(({ slot }) => slot).sort()]
      }
      assert.deepEqual(shapes.http, shapes.socket)
      assert.deepEqual(shapes.muster, shapes.socket)
    })
  }

  for (const [name, words, args, status, message] of FAULTS) {
    test(`${name} ${words.join(' ')}: every transport refuses it with the same message`, async () => {
      const refusals = [
        (await command(service, name, args as object)).body,
        (await overHttp(service.url, name, args)).body,
        await transports.muster!(name, words, {})
      ]
      for (const refused of refusals) {
        assert.equal(refused.ok, false)
        assert.equal(refused.statusCode, status, JSON.stringify(refused))
        assert.match(refused.message!, message)
      }
    })
  }

  test('unknown commands get 404 and malformed arguments get 400, over the socket and over HTTP', async () => {
    for (const call of [
      (name: string, args: object) => command(service, name, args),
      (name: string, args: object) => overHttp(service.url, name, args)
    ]) {
      const unknown = await call('dance', {})
      assert.equal(unknown.status, 404)
      assert.match(unknown.body.message!, /^unknown command; known commands: status, ping, /)
      for (const args of [[1], 'text', null] as unknown as object[]) {
        const { status, body } = await call('ping', args)
        assert.equal(status, 400, JSON.stringify(args))
        assert.equal(body.message, 'the arguments must be a JSON object')
      }
    }
  })

  test('a worker answers the command that replaces it, and files of commands can be downloaded', async () => {
    // Each slot is met in turn: the answer comes through the very worker that is to go, or through the other one.
    const before = [...service.workers().keys()]
    for (const slot of [0, 1, 0, 1]) {
      const { status, body } = await overHttp(service.url, 'recycle', { slot })
      assert.equal(status, 200, JSON.stringify(body))
    }
    const reload = await overHttp(service.url, 'reload', {})
    assert.equal(reload.body.result.outcome, 'done')
    await service.until(() => before.every((pid) => !service.workers().has(pid)), 'the end of the first workers')

    const { path, bytes } = heap
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const headers = { authorization: `Bearer ${TOKENS.ADMIN_TOKEN}` }
    const file = await fetch(`${service.url}/admin/files/${basename(path)}`, { headers })
    const text = await file.text()
    assert.equal(Buffer.byteLength(text), bytes)
    const { snapshot } = JSON.parse(text) as { snapshot: { meta: object; node_count: number } }
    assert.ok(snapshot.node_count > 10_000)
    for (const name of ['admin.sock', '..%2Fx', 'heap-0-1-x.json']) {
      assert.equal((await fetch(`${service.url}/admin/files/${name}`, { headers })).status, 404, name)
    }
  })

  test('two concurrent reloads become one, and the audit log names both callers', async () => {
    const from = service.lines.length
    const [first, second] = await Promise.all([command(service, 'reload'), overHttp(service.url, 'reload', {})])
    assert.deepEqual([first.body.result.outcome, second.body.result.outcome], ['done', 'done'])
    assert.equal(first.body.result.generation, second.body.result.generation)
    assert.equal([first, second].filter(({ body }) => body.result.joined).length, 1)
    await service.line(({ msg }) => msg === 'rollout done', from)
    assert.equal(service.lines.slice(from).filter(({ msg }) => msg === 'rollout done').length, 1)

    const isAnswer = (transport: string) => (line: { msg: string }) =>
      line.msg === 'command answered' && 'transport' in line && line.transport === transport
    await Promise.all([service.line(isAnswer('socket'), from), service.line(isAnswer('http'), from)])
    const audit = service.lines.slice(from).filter(({ msg }) => msg === 'command answered')
    assert.deepEqual(new Set(audit.map(({ transport }) => transport)), new Set(['socket', 'http']))
    const http = audit.find(({ transport }) => transport === 'http')
    assert.match(String(http?.who), /^token [0-9a-f]{8}$/)
    assert.equal(http?.from, '127.0.0.1')
    const log = JSON.stringify(service.lines)
    for (const token of Object.values(TOKENS)) assert.equal(log.includes(token), false)
    const { body } = await command(service, 'audit', { limit: 10 })
    assert.ok(
      body.result.some(
        ({ event, command: name }: { event: string; command?: string }) =>
          event === 'command answered' && name === 'reload'
      )
    )
  })

  test('values of settings and secrets appear in no log', async () => {
    const from = service.lines.length
    await command(service, 'settings-set', { key: 'banner', value: 'not for the log' })
    for (const msg of ['command received', 'command answered']) {
      const line = await service.line((one) => one.msg === msg && one.command === 'settings-set', from)
      assert.deepEqual(line.args, { key: 'banner', value: '(hidden)' })
    }
    assert.equal(JSON.stringify(service.lines).includes('not for the log'), false)
    const { body } = await command(service, 'config')
    assert.equal(body.result.ADMIN_TOKEN, '(set)')
    assert.equal(body.result.REDIS_URL, '(set)')
    assert.equal(body.result.WORKERS, '2')
  })

  test('rejected commands fill the audit log only, and displace no entry of the journal', async () => {
    for (let i = 0; i < 60; i++) {
      assert.equal((await command(service, 'recycle', { slot: 'one' })).status, 400)
      assert.equal((await command(service, 'recycle', { slot: 7 })).status, 404)
    }
    for (const name of ['why', 'journal']) {
      const entries = (await command(service, name)).body.result as { event: string; command?: string }[]
      assert.ok(entries.some(({ event }) => event === 'ready'))
      assert.deepEqual(
        entries.filter((entry) => entry.event.startsWith('command') || 'command' in entry),
        [],
        name
      )
    }
    const slot = (await command(service, 'why', { slot: 7 })).body.result
    assert.deepEqual(slot, [])
    const audit = (await command(service, 'audit', { limit: 240 })).body.result as { event: string; ok?: boolean }[]
    assert.equal(audit.filter(({ event, ok }) => event === 'command answered' && ok === false).length, 120)
    assert.doesNotMatch(readFileSync(join(service.runDir, 'journal.jsonl'), 'utf8'), /"command"/)
  })

  test('each of 1,000 concurrent commands is executed, or refused with the limit that it exceeds', async () => {
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, i) =>
        i % 2 ? command(service, 'ping') : overHttp(service.url, 'settings-get', {})
      )
    )
    // The last one only where the machine is so overloaded that no worker answers a ping in time.
    const refusal = /more than \d+ (commands|requests) at once|^no worker answered within 1000 ms$/
    for (const { status, body } of answers) {
      assert.ok(status === 200 ? body.ok : status === 503 && refusal.test(body.message ?? ''), JSON.stringify(body))
    }
    assert.ok(answers.filter(({ status }) => status === 200).length >= 516)
    assert.equal((await overHttp(service.url, 'ping')).status, 200)
  })

  test('the event stream sends the status first and then every event', async () => {
    const headers = { authorization: `Bearer ${TOKENS.ADMIN_READ_TOKEN}` }
    const aborted = new AbortController()
    const response = await fetch(`${service.url}/admin/events`, { headers, signal: aborted.signal })
    assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
    const reader = response.body!.pipeThrough(new TextDecoderStream() as never).getReader()
    let text = ''
    const until = async (pattern: RegExp) => {
      while (!pattern.test(text)) {
        const { value, done } = await reader.read()
        assert.equal(done, false, text)
        text += value as unknown as string
      }
    }
    await until(/event: status\ndata: \{"version":.*\}\n\n/)
    await command(service, 'settings-set', { key: 'banner', value: 'x' })
    await until(/event: audit\ndata: \{"at":.*"command":"settings-set".*\}\n\n/)
    aborted.abort()
    const refused = await fetch(`${service.url}/admin/events`, { headers: { connection: 'close' } })
    assert.equal(refused.status, 401)
  })
})

test('stop over HTTP is answered before the service ends', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, ...TOKENS } })
  const { status, body } = await overHttp(service.url, 'stop', {}).catch((error: Error) => {
    throw new Error(`${error.cause}\n${service.tail()}`)
  })
  assert.deepEqual([status, body.ok, body.result], [200, true, null])
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})
