import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import { writeHistory } from '../history/history-file.ts'
import type { CounterOperation } from '../history/operations.ts'
import { Recorder } from '../history/recorder.ts'

const MAIN = fileURLToPath(new URL('../chaos/main.js', import.meta.url))

async function chaos(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const [code] = await once(child, 'close')
  return { code, output }
}

const hit = (id: number, number: number): CounterOperation => ({
  ...{ id, process: 'client', model: 'counter', object: 'hits', kind: 'increment' },
  ...{ invokedAt: 10 * id, returnedAt: 10 * id + 5, number }
})

test('a recorded history is checked again: exit code 0 for a right one, 1 and the shortest proof for a wrong one', async (t) => {
  const file = join(temporaryFolder(t), 'history.jsonl')
  const operations = Array.from({ length: 100 }, (_, i) => hit(i + 1, i + 1))
  await writeHistory(file, [{ name: 'round 1', operations }])
  const right = await chaos('--check', file)
  assert.equal(right.code, 0, right.output)
  assert.match(right.output, /counter increment +100 +0 unknown\n.*violations: 0/s)

  await writeHistory(file, [{ name: 'round 1', operations: [...operations, hit(101, 50)] }])
  const wrong = await chaos('--check', file)
  assert.equal(wrong.code, 1, wrong.output)
  assert.match(
    wrong.output,
    /violations: 1\nround 1: counter hits: the number 50 was given twice\n.*operation 50.*\n.*operation 101/
  )
})

test('wrong arguments are refused, all at once, and a file that is no history too', async (t) => {
  const { code, output } = await chaos('--seconds', '0', '--seed', 'x', '--redis', 'single,many')
  assert.equal(code, 2)
  for (const name of ['--seconds', '--seed', '--redis']) assert.match(output, new RegExp(`${name} (must|takes)`))
  assert.equal((await chaos('--what')).code, 2)
  const missing = await chaos('--check', join(temporaryFolder(t), 'missing'))
  assert.equal(missing.code, 2)
  assert.match(missing.output, /ENOENT/)
})

test('what a worker reports is recorded up to its last whole line', async (t) => {
  const socketPath = join(temporaryFolder(t), 'history.sock')
  const recorder = new Recorder(socketPath)
  const worker = connect(socketPath)
  const operation = {
    model: 'lock',
    object: 'a',
    kind: 'hold',
    process: 'worker 1',
    invokedAt: 1,
    returnedAt: 1,
    fence: 7
  }
  worker.write(
    `${JSON.stringify({ key: '1 1', ...operation })}\n${JSON.stringify({ key: '1 1', returnedAt: 3 })}\n{"key":`
  )
  worker.write(`"1 1","returnedAt":4}\n{"key":"1 1","retur`)
  await until(() => recorder.operations[0]?.returnedAt === 4, 'the second report')
  worker.destroy()
  await recorder.close()
  assert.deepEqual(recorder.operations, [{ id: 1, ...operation, returnedAt: 4 }])
})

test('an operation of a client is unknown until it ends, and is dropped when it was never sent', async (t) => {
  const recorder = new Recorder(join(temporaryFolder(t), 'history.sock'))
  const begin = () => recorder.begin({ process: 'client', model: 'counter', object: 'hits', kind: 'increment' })
  const [ended, unknown, dropped] = [begin(), begin(), begin()]
  recorder.end(ended, { number: 1 })
  recorder.drop(dropped)
  await recorder.close()
  assert.deepEqual(recorder.operations, [ended, unknown])
  assert.equal(unknown.returnedAt, null)
  assert.ok(ended.returnedAt! >= ended.invokedAt && 'number' in ended)
})
