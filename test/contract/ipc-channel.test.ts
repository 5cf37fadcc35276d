import assert from 'node:assert/strict'
import { type ChildProcess, type SendHandle, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { reportEndOf, tapChannel } from '../../src/node-internals/ipc-channel.ts'
import { bindTcp } from '../../src/node-internals/listening-handle.ts'
import { until } from '../helpers/until.ts'

/** Runs a script whose file descriptor 3 is its channel, and records what its tap is told. */
function tap(t: TestContext, script: string): { child: ChildProcess; events: string[]; close: () => void } {
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  const events: string[] = []
  let isOpen = true
  tapChannel(child, {
    accepts: () => isOpen,
    onMessage: (bytesRead) => events.push(bytesRead > 0 ? 'message' : 'message without bytes'),
    onRead: () => {},
    onError: (error) => events.push(error.name)
  })
  child.on('message', (message) => events.push(`heard ${JSON.stringify(message)}`))
  return {
    child,
    events,
    close: () => {
      isOpen = false
    }
  }
}

test('messages are announced before listeners hear them', async (t) => {
  const { child, events } = tap(t, 'process.send({ a: 1 }, () => process.exit())')
  await once(child, 'exit')
  assert.deepEqual(events, ['message', 'heard {"a":1}'])
})

test('input that is not JSON is an error that the tap gets', async (t) => {
  const { events } = tap(t, 'fs.writeSync(3, "no JSON\\n"); setTimeout(() => {}, 5000)')
  await until(() => events.length > 0, 'the error')
  assert.deepEqual(events, ['SyntaxError'])
})

test("an invalid message of Node's own protocol is an error that the tap gets", async (t) => {
  const { events } = tap(t, 'fs.writeSync(3, \'{"cmd":"NODE_HANDLE_ACK"}\\n\'); setTimeout(() => {}, 5000)')
  await until(() => events.length > 1, 'the error')
  assert.deepEqual(events, ['message', 'Error'])
})

test('nothing is heard after the tap was closed', async (t) => {
  const { child, events, close } = tap(
    t,
    'process.on("message", () => process.send(2, () => process.exit())); process.send(1)'
  )
  await until(() => events.length > 1, 'the first message')
  close()
  child.send('go on')
  await once(child, 'exit')
  assert.deepEqual(events, ['message', 'heard 1'])
})

test('the end of a process that has not acknowledged a handle is reported, and every message has failed by then', async (t) => {
  const child = spawn(process.execPath, ['-e', 'process.send("up"); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc']
  })
  t.after(() => child.kill('SIGKILL'))
  reportEndOf(child)
  await once(child, 'message')
  child.kill('SIGSTOP')
  const handle = bindTcp('127.0.0.1', 0, 4)
  t.after(() => handle.close())
  const sent: unknown[] = []
  const send = (message: object, passed?: object) =>
    child.send(message, passed as SendHandle | undefined, { keepOpen: true }, (error) => sent.push(error?.message))
  send({ first: true }, handle)
  send({ second: true }, handle)
  send({ third: true })
  const disconnected = once(child, 'disconnect')
  child.kill('SIGKILL')
  await disconnected
  assert.deepEqual(sent, [undefined, 'the other process has ended', 'the other process has ended'])
})
