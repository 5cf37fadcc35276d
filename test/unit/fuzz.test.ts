import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { argumentIssues, argumentsFromWords } from '../../src/admin/command-arguments.ts'
import { registry } from '../../src/admin/registry.ts'
import { StartupError } from '../../src/common/errors.ts'
import { environmentSchema } from '../../src/config/environment-schema.ts'
import { loadConfig } from '../../src/config/load.ts'
import { OPENMETRICS, render, TEXT } from '../../src/http/plugins/metrics/metrics-page.ts'
import { type ChannelPeer, createChannel } from '../../src/ipc/channel.ts'
import { isMessageToPrimary } from '../../src/ipc/messages.ts'
import { type Family, parseFamilies, SeriesStore } from '../../src/ipc/series.ts'
import { issueOf } from '../../src/state/shared/json-schema-check.ts'
import { counted } from '../helpers/counted.ts'
import { anyJson, fuzz, mutated } from '../helpers/fuzz.ts'

const command = fc.constantFrom(...registry.commands)

test('arguments of admin commands are accepted as their schema says, or refused with a message', async (t) => {
  const names = [...new Set(registry.commands.flatMap((one) => Object.keys(one.args.properties)))]
  const args = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), anyJson, { maxKeys: 3 })
  const runs = await fuzz(0.1, fc.tuple(command, fc.oneof(args, anyJson)), ([of, given]) => {
    assert.equal(argumentIssues(of, given) === undefined, issueOf(of.args, given) === undefined)
  })
  const typed = await fuzz(0.05, fc.tuple(command, fc.array(fc.string(), { maxLength: 4 })), ([of, given]) => {
    const issues = argumentIssues(of, argumentsFromWords(of, given))
    assert.ok(given.length <= of.positional.length || issues !== undefined, 'an argument too many')
  })
  await fuzz(0.05, fc.string(), (name) =>
    assert.equal(registry.find(name) === undefined, !registry.names.includes(name))
  )
  counted(t, { 'fuzzed inputs': runs + typed })
})

const messages = fc.constantFrom<object>(
  { type: 'port' },
  { type: 'boot-failed', why: 'x' },
  { type: 'redis', up: true },
  { type: 'heartbeat', heartbeat: {} },
  { type: 'counters', families: [] },
  { type: 'transfer', id: 1, idleMs: 5 },
  { request: 'drained', id: 1, args: { total: 1, handedOver: 1, answered: 0, idle: 0, left: 0, cut: 0 } },
  { request: 'command', id: 2, args: { name: 'ping', args: {}, caller: {} } },
  { request: 'broadcast', id: 3, args: { topic: 't', payload: '1', deadlineMs: 1 } },
  { response: 1, result: 1 }
)

test('the primary accepts no IPC message with fields of a wrong type, and survives all of them', async (t) => {
  let receive: (message: unknown, handle?: unknown) => void = () => {}
  let accepted: Record<string, unknown> | undefined
  const peer: ChannelPeer = {
    connected: true,
    send: (_message, _handle, _options, done) => {
      done(null)
      return true
    },
    on: (_event, listener) => (receive = listener),
    once: () => {}
  }
  const channel = createChannel<{ type: string }, { type: string; id?: unknown; why?: unknown; up?: unknown }>(
    peer,
    isMessageToPrimary
  )
  for (const type of ['boot-failed', 'redis', 'transfer', 'from-the-future']) {
    channel.on(type, (message) => (accepted = message))
  }
  const runs = await fuzz(0.1, fc.oneof(mutated(messages), anyJson), (message) => {
    accepted = undefined
    receive(message)
    const { type, id, idleMs, why, up } = (accepted ?? {}) as Record<string, unknown>
    assert.ok(type !== 'boot-failed' || typeof why === 'string')
    assert.ok(type !== 'redis' || typeof up === 'boolean')
    assert.ok(type !== 'transfer' || ((id as number) >= 0 && (idleMs as number) >= 0))
    assert.notEqual(type, 'from-the-future')
  })
  counted(t, { 'fuzzed inputs': runs })
})

const sample = fc.oneof(fc.double(), fc.constantFrom('NaN', 'Infinity', '-Infinity'))
const family = fc.record({
  name: fc.oneof(fc.constantFrom('a', 'b'), fc.string()),
  help: fc.string(),
  type: fc.constantFrom('counter', 'gauge', 'histogram', 'summary'),
  bounds: fc.option(fc.array(fc.double()), { nil: undefined }),
  series: fc.array(fc.tuple(fc.string(), fc.array(sample, { maxLength: 5 })), { maxLength: 3 })
})

test("a worker's metrics are refused with a TypeError, or added up and rendered", async (t) => {
  const [total, latest] = [new SeriesStore(1000), new SeriesStore(1000)]
  let accepted = 0
  const families = fc.array(fc.oneof(family, mutated(family)), { maxLength: 3 })
  const runs = await fuzz(
    0.1,
    fc.oneof({ weight: 9, arbitrary: families }, { weight: 1, arbitrary: anyJson }),
    (reported) => {
      let known: Family[]
      try {
        known = parseFamilies(reported)
      } catch (error) {
        assert.ok(error instanceof TypeError)
        return
      }
      accepted++
      latest.update(known)
      total.add(known)
      for (const type of [TEXT, OPENMETRICS] as const) {
        const worker = { slot: 0, counters: known, others: total.read() }
        assert.equal(typeof render({ workers: [worker], primary: latest.read(), missing: [] }, type), 'string')
      }
    }
  )
  t.diagnostic(`${accepted} of them accepted`)
  counted(t, { 'fuzzed inputs': runs })
  assert.ok(accepted > 0)
})

test('an environment becomes a configuration, or issues that show no secret', async (t) => {
  const names = Object.keys(environmentSchema.properties).filter((name) => !name.endsWith('_FILE'))
  const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', ''))
  const url = fc.webUrl({ withQueryParameters: true }).map((value) => value.replace(/^https?/, 'redis'))
  const value = fc.oneof(text, fc.nat().map(String), fc.double().map(String), fc.ipV4(), fc.ipV6(), url)
  const environment = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 8, noNullPrototype: true })
  const runs = await fuzz(0.1, environment, (given) => {
    const secret = `<${'secret'.repeat(2)}>`
    try {
      assert.ok(Object.isFrozen(loadConfig({ ...given, ADMIN_TOKEN: secret })), 'a short token is accepted')
    } catch (error) {
      assert.ok(error instanceof StartupError, String(error))
      assert.ok(!error.message.includes(secret), error.message)
    }
  })
  counted(t, { 'fuzzed inputs': runs })
})
