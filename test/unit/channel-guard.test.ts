import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { guardChannel } from '../../src/primary/workers/channel-guard.ts'

/**
 * Runs a script in a guarded process, whose channel is descriptor 3. Its message `'answer'` gets one back.
 * @returns faults and messages until the process ends
 */
async function watch(
  t: TestContext,
  script: string,
  flood?: { load: number; ms: number }
): Promise<{ faults: string[]; messages: unknown[] }> {
  const code = `const raw = (text) => { try { fs.writeSync(3, text) } catch (e) { if (e.code !== 'EAGAIN') throw e } }\n${script}`
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  const faults: string[] = []
  const messages: unknown[] = []
  const faulty = (why: string) => {
    faults.push(why)
    // The process continues for a moment: nothing more may be heard of it.
    setTimeout(() => child.kill('SIGKILL'), 200)
  }
  guardChannel(child, { onGarbage: ({ message }) => faulty(message), onFlood: faulty }, flood)
  child.on('message', (message) => {
    messages.push(message)
    if (message === 'answer') child.send('answer')
  })
  await once(child, 'exit')
  return { faults, messages }
}

test('messages pass, and a busy period is not a flood', async (t) => {
  const script =
    'for (let i = 0; i < 30000; i++) process.send(i); process.send({ last: "ä".repeat(1e6) }, () => process.exit())'
  const { faults, messages } = await watch(t, script)
  assert.deepEqual(faults, [])
  assert.equal(messages.length, 30_001)
  assert.deepEqual(messages.at(-1), { last: 'ä'.repeat(1e6) })
})

test('garbage is reported once, and later messages are ignored', async (t) => {
  const script =
    'process.once("message", () => { raw("no JSON\\n"); setInterval(() => { process.send(2); raw("{\\n") }, 5) }); process.send("answer")'
  const { faults, messages } = await watch(t, script)
  assert.deepEqual(messages, ['answer'])
  assert.equal(faults.length, 1)
  assert.match(faults[0]!, /JSON/)
})

test('a message without an end is garbage', async (t) => {
  const { faults } = await watch(t, 'const text = "x".repeat(60000); for (;;) raw(text)')
  assert.deepEqual(faults, ['a message without an end'])
})

test('too many or too large messages are a flood', async (t) => {
  for (const [text, fewest] of [
    ['""', 19_000],
    ['"x".repeat(1e6)', 19]
  ] as const) {
    const script = `const text = ${text}; const flood = () => { while (process.send(text)); setImmediate(flood) }; flood()`
    const { faults, messages } = await watch(t, script, { load: 20_000, ms: 30_000 })
    assert.equal(faults.length, 1)
    assert.match(faults[0]!, /^a flood of messages: \d+, \d+ bytes, the last of them in \d+ ms$/)
    assert.ok(messages.length >= fewest && messages.length <= fewest * 2, `${messages.length} messages`)
  }
})
