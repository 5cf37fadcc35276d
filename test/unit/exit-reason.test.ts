import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { classifyExit } from '../../src/primary/workers/exit-reason.ts'
import { StderrTail } from '../../src/primary/workers/stderr-tail.ts'

const OUT_OF_MEMORY = `
<--- Last few GCs --->

[4711:0x41440000]      142 ms: Mark-Compact 55.1 (88.0) -> 32.4 (97.3) MB, 10.52 / 0.00 ms  allocation failure;

FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
----- Native stack trace -----

 1: 0x931db0  [/usr/bin/node]
`
const uncaught = (error: string) => `file:///app/routes.js:17
  const x = 1; x()
               ^

${error}
    at file:///app/routes.js:17:16
    at process.processTicksAndRejections (node:internal/process/task_queues:104:5)

Node.js v24.21.0
`

describe('the reason of an exit', () => {
  const heapFull = 'out of memory: Reached heap limit Allocation failed - JavaScript heap out of memory'
  const table: [code: number | null, signal: string | null, stderr: string, cause: string, reason: 'crash' | 'oom'][] =
    [
      [null, 'SIGABRT', OUT_OF_MEMORY, `SIGABRT: ${heapFull}`, 'oom'],
      [134, null, OUT_OF_MEMORY, `exit code 134: ${heapFull}`, 'oom'],
      [133, null, OUT_OF_MEMORY, `exit code 133: ${heapFull}`, 'oom'],
      [5, null, OUT_OF_MEMORY, `exit code 5: ${heapFull}`, 'oom'],
      [
        null,
        'SIGTRAP',
        '# Fatal process out of memory: Zone',
        'SIGTRAP: out of memory: Fatal process out of memory: Zone',
        'oom'
      ],
      // The words of another process, which ended in another way.
      [
        1,
        null,
        uncaught('Error: a child: JavaScript heap out of memory'),
        'exit code 1: Error: a child: JavaScript heap out of memory',
        'crash'
      ],
      [
        null,
        'SIGKILL',
        OUT_OF_MEMORY,
        "SIGKILL, not sent by this primary: the kernel's out-of-memory killer, or a kill -9",
        'crash'
      ],
      [null, 'SIGSEGV', '', 'SIGSEGV', 'crash'],
      [
        null,
        'SIGABRT',
        "node: ../src/x.cc:12: void f(): Assertion `a == b' failed.\n 1: 0x93",
        "SIGABRT: node: ../src/x.cc:12: void f(): Assertion `a == b' failed.",
        'crash'
      ],
      [0, null, uncaught('Error: long ago'), 'exit code 0', 'crash'],
      [3, null, 'some words\nthat are no error\n', 'exit code 3', 'crash'],
      [1, null, uncaught('TypeError: x is not a function'), 'exit code 1: TypeError: x is not a function', 'crash'],
      [1, null, uncaught('Error: first line\nsecond line'), 'exit code 1: Error: first line', 'crash'],
      [
        1,
        null,
        uncaught('Error: an older one') + uncaught('RangeError: the last one'),
        'exit code 1: RangeError: the last one',
        'crash'
      ],
      [
        1,
        null,
        "\n/app/x.js:18\nthrow 'just text'\n^\njust text\n(Use `node --trace-uncaught ...`)\n",
        'exit code 1: just text',
        'crash'
      ],
      [
        1,
        null,
        uncaught(
          'UnhandledPromiseRejection: This error originated either by throwing inside of an async function without a catch block, or by rejecting a promise which was not handled with .catch(). The promise rejected with the reason "some text".'
        ),
        'exit code 1: unhandled rejection: some text',
        'crash'
      ]
    ]
  for (const [code, signal, stderr, cause, reason] of table) {
    test(cause, () => assert.deepEqual(classifyExit(code, signal, stderr), { cause, reason }))
  }

  test('has at most 200 characters', () => {
    const { cause } = classifyExit(1, null, uncaught(`Error: ${'long '.repeat(100)}`))
    assert.equal(cause.length, 200)
    assert.match(cause, /^exit code 1: Error: long long .*…$/)
  })

  test('an adversarial standard error takes no time', () => {
    const started = process.cpuUsage()
    for (const text of ['\n', ' ', '^', '^\n', ' ^ ', 'Assertion ', 'FATAL '])
      classifyExit(1, null, text.repeat(8192 / text.length))
    const { user } = process.cpuUsage(started)
    assert.ok(user < 1_000_000, `${user} µs`)
  })
})

describe('real exits', () => {
  const real: [name: string, code: string, cause: RegExp, reason: 'crash' | 'oom'][] = [
    [
      'a full heap',
      'const all = []; for (;;) all.push([all.length])',
      /^SIGABRT: out of memory: .*JavaScript heap out of memory$/,
      'oom'
    ],
    [
      'an uncaught error',
      'setImmediate(() => { throw new TypeError("x is not a function") })',
      /^exit code 1: TypeError: x is not a function$/,
      'crash'
    ],
    [
      'an unhandled rejection',
      'Promise.reject(new RangeError("rejected"))',
      /^exit code 1: RangeError: rejected$/,
      'crash'
    ],
    [
      'a rejection with no error',
      'Promise.reject("some text")',
      /^exit code 1: unhandled rejection: some text$/,
      'crash'
    ],
    ['a failed assertion', 'assert.equal(1, 2)', /^exit code 1: AssertionError \[ERR_ASSERTION\]: /, 'crash'],
    ['an exit', 'process.exit(3)', /^exit code 3$/, 'crash'],
    ['abort()', 'process.abort()', /^SIGABRT$/, 'crash'],
    ['kill -9', 'process.kill(process.pid, "SIGKILL")', /^SIGKILL, not sent by this primary/, 'crash']
  ]
  for (const [name, script, cause, reason] of real) {
    test(name, async () => {
      const child = spawn(process.execPath, ['--max-old-space-size=20', '-e', script], {
        stdio: ['ignore', 'ignore', 'pipe']
      })
      const stderr = new StderrTail(child.stderr, new PassThrough().resume())
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
      const death = classifyExit(code, signal, await stderr.lastOutput(30_000))
      assert.match(death.cause, cause)
      assert.equal(death.reason, reason)
    })
  }
})
