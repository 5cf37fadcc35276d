import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assessLiveness } from '../../src/primary/health/liveness.ts'
import type { ProcessStat } from '../../src/primary/health/process-stat.ts'

const TIMEOUT_MS = 10_000
const BEFORE: ProcessStat = { at: 5000, cpuMs: 70_000, waitMs: 900, state: 'S', rssBytes: 1 }

interface Silence {
  name: string
  silentMs: number
  cpuMs: number
  /** None: the kernel keeps no such account. */
  waitMs?: number
  state: string
  verdict: 'hung' | 'starved'
  cause: RegExp
}

/** What /proc said in trials of such processes, scaled to a timeout of 10 s. */
const TABLE: Silence[] = [
  {
    name: 'an endless loop on an idle machine, at the first look',
    silentMs: 10_000,
    cpuMs: 9950,
    waitMs: 50,
    state: 'R',
    verdict: 'hung',
    cause: /^its event loop used 9950 ms of CPU in 10000 ms without turning$/
  },
  {
    name: 'the same where the kernel keeps no account of waiting',
    silentMs: 10_000,
    cpuMs: 9950,
    state: 'R',
    verdict: 'hung',
    cause: /event loop/
  },
  {
    name: 'an endless loop on a machine overloaded 2:1, at the first look',
    silentMs: 10_000,
    cpuMs: 5000,
    waitMs: 5000,
    state: 'R',
    verdict: 'hung',
    cause: /event loop/
  },
  {
    name: 'an endless loop that calls the kernel, and is found in it',
    silentMs: 10_000,
    cpuMs: 9000,
    waitMs: 100,
    state: 'S',
    verdict: 'hung',
    cause: /event loop/
  },
  {
    name: 'a busy event loop on a machine overloaded 8:1',
    silentMs: 10_000,
    cpuMs: 750,
    waitMs: 9200,
    state: 'R',
    verdict: 'starved',
    cause: /^it had 750 ms of CPU in 10000 ms and waited 9200 ms for more$/
  },
  {
    name: 'the same where the kernel keeps no account of waiting',
    silentMs: 10_000,
    cpuMs: 750,
    state: 'R',
    verdict: 'starved',
    cause: /750 ms/
  },
  {
    name: 'the same, looked at again after three times as long',
    silentMs: 30_000,
    cpuMs: 2250,
    waitMs: 27_600,
    state: 'R',
    verdict: 'starved',
    cause: /2250 ms/
  },
  {
    name: 'an endless loop there: its CPU time has added up to half the timeout',
    silentMs: 68_000,
    cpuMs: 5000,
    waitMs: 63_000,
    state: 'R',
    verdict: 'hung',
    cause: /5000 ms of CPU in 68000 ms/
  },
  {
    name: 'just before',
    silentMs: 67_900,
    cpuMs: 4999,
    waitMs: 62_900,
    state: 'R',
    verdict: 'starved',
    cause: /4999 ms/
  },
  {
    name: 'throttled by a CPU quota of a twentieth',
    silentMs: 10_000,
    cpuMs: 500,
    waitMs: 9500,
    state: 'R',
    verdict: 'starved',
    cause: /waited 9500 ms/
  },
  {
    name: 'starved, and found asleep for the moment of a garbage collection',
    silentMs: 10_000,
    cpuMs: 870,
    waitMs: 8200,
    state: 'S',
    verdict: 'starved',
    cause: /waited/
  },
  {
    name: 'starved, and found waiting for a page',
    silentMs: 10_000,
    cpuMs: 870,
    waitMs: 8200,
    state: 'D',
    verdict: 'starved',
    cause: /waited/
  },
  {
    name: 'blocked in Atomics.wait, execSync or a FIFO',
    silentMs: 10_000,
    cpuMs: 0,
    waitMs: 0,
    state: 'S',
    verdict: 'hung',
    cause: /^asleep in a system call \(state S\), with 0 ms of CPU in 10000 ms$/
  },
  {
    name: 'the same where the kernel keeps no account of waiting',
    silentMs: 10_000,
    cpuMs: 0,
    state: 'S',
    verdict: 'hung',
    cause: /asleep/
  },
  {
    name: 'blocked by a disk or a dead NFS server',
    silentMs: 10_000,
    cpuMs: 30,
    waitMs: 10,
    state: 'D',
    verdict: 'hung',
    cause: /asleep in a system call \(state D\)/
  },
  {
    name: 'blocked after it was starved for a while: too early to tell',
    silentMs: 10_000,
    cpuMs: 500,
    waitMs: 4000,
    state: 'S',
    verdict: 'starved',
    cause: /waited/
  },
  {
    name: 'the same, later: it waits for no CPU any more',
    silentMs: 17_000,
    cpuMs: 500,
    waitMs: 4000,
    state: 'S',
    verdict: 'hung',
    cause: /asleep/
  },
  {
    name: 'awake again this moment after a long sleep',
    silentMs: 10_000,
    cpuMs: 3,
    waitMs: 1,
    state: 'R',
    verdict: 'starved',
    cause: /it had 3 ms/
  },
  {
    name: 'stopped by a signal',
    silentMs: 10_000,
    cpuMs: 0,
    waitMs: 0,
    state: 'T',
    verdict: 'hung',
    cause: /^stopped/
  },
  {
    name: 'stopped by a tracer',
    silentMs: 10_000,
    cpuMs: 0,
    waitMs: 0,
    state: 't',
    verdict: 'hung',
    cause: /^stopped/
  },
  {
    name: 'a zombie whose exit is on its way',
    silentMs: 10_000,
    cpuMs: 0,
    waitMs: 0,
    state: 'Z',
    verdict: 'hung',
    cause: /ended/
  }
]

describe('the verdict on a silent worker', () => {
  for (const { name, silentMs, cpuMs, waitMs, state, verdict, cause } of TABLE) {
    test(`${name}: ${verdict}`, () => {
      const { waitMs: waitedBefore = 0, ...rest } = BEFORE
      const wait = (ms: number) => (waitMs === undefined ? {} : { waitMs: ms })
      const before = { ...rest, ...wait(waitedBefore) }
      const at = before.at + silentMs
      const now = { ...before, at, cpuMs: before.cpuMs + cpuMs, state, ...wait(waitedBefore + (waitMs ?? 0)) }
      const liveness = assessLiveness(before, now, TIMEOUT_MS)
      assert.equal(liveness.verdict, verdict)
      assert.match(liveness.cause, cause)
    })
  }

  test('without a timeout, CPU time for half of the silence means hung', () => {
    const look = (cpuMs: number) =>
      assessLiveness(BEFORE, { ...BEFORE, at: BEFORE.at + 4000, cpuMs: BEFORE.cpuMs + cpuMs, state: 'R' }).verdict
    assert.equal(look(2000), 'hung')
    assert.equal(look(1999), 'starved')
  })
})
