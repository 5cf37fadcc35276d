import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatHosts } from '../../src/cli/output/hosts-table.ts'
import { describeStep } from '../../src/cli/output/rollout-progress.ts'
import { NO_SCREEN } from '../../src/cli/output/table.ts'
import type { HostView } from '../../src/ipc/host-messages.ts'
import { describeWait, refusalOf } from '../../src/primary/hosts/turn-rules.ts'
import { blocksOf } from '../helpers/documents.ts'

const PAGE = 'docs/how-to/several-hosts.md'
const [tableText, waitText, refusalText] = blocksOf(PAGE)
  .filter(({ language }) => language === 'text')
  .map(({ code }) => code)

const worker = (slot: number, connections: number, requests: number, utilization: number) =>
  ({
    slot,
    pid: 1,
    generation: 2,
    status: 'ready',
    connections,
    requests,
    utilization,
    inFlight: 0,
    rssBytes: 80 * 2 ** 20
  }) as const
const host = (id: string, ageMs: number, workers: HostView['workers']): HostView => ({
  id,
  host: 'web',
  pid: 1,
  version: '1.0.0',
  release: '1.4.0-9be02d7c',
  url: 'http://localhost:8080',
  uptimeSeconds: 11_000,
  generation: 2,
  desired: 2,
  state: 'running',
  workers,
  ageMs
})

test('the page shows the table of all hosts as the command prints it', () => {
  const hosts = [
    host('web-1-5f0c2d91', 0, [worker(0, 60, 26_120, 0.21), worker(1, 60, 25_870, 0.19)]),
    host('web-2-77b1e04a', 1200, [worker(0, 59, 25_230, 0.18), worker(1, 59, 25_984, 0.2)])
  ]
  assert.equal(formatHosts({ hosts, hostsKnown: true }, NO_SCREEN).trimStart(), tableText)
})

test('the page shows what a host that waits says, and a host that refuses a release', () => {
  const record = { state: 'rolling', release: '1.4.1-0c3f77aa', host: 'web-1', id: 'web-1-5f0c2d91' } as const
  const answer = { fence: 0, ticket: 2, ahead: 1, last: { record, fence: 1, at: 0 } }
  const entry = { at: '2026-11-28T15:04:05.000Z', event: 'reload waits', why: describeWait(answer) }
  assert.equal(`${describeStep(entry, undefined)}\n`, waitText)
  const why = 'worker 0 of it did not last (exit code 1)'
  const last = {
    record: { ...record, state: 'failed', why } as const,
    fence: 1,
    at: Date.parse('2026-11-28T15:04:05Z')
  }
  assert.equal(`${refusalOf(last, record.release)}\n`, refusalText)
})

test('a list without Redis says that the hosts are unknown, and a host says what its reload waits for', () => {
  const known = {
    hosts: [{ ...host('web-1-1', 0, []), waitsFor: 'web-2 rolls out' }],
    hostsKnown: false,
    hostsNote: 'Redis is away, hosts unknown'
  }
  const text = formatHosts(known, NO_SCREEN)
  assert.match(text, /^web-1-1 +waiting/m)
  assert.match(text, /^web-1-1: a reload waits: web-2 rolls out\nRedis is away, hosts unknown\n$/m)
})
