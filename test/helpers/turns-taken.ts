import assert from 'node:assert/strict'
import { type Line, muster, type Service } from './service.ts'
import { until } from './until.ts'

const ENDS = new Set(['rollout done', 'rollout failed', 'rollout refused', 'rollout stopped'])

/** Sends SIGHUP to all services at once. @returns the line with which the reload of each ended, in their order */
export function reloadAll(services: Service[]): Promise<Line[]> {
  const from = services.map(({ lines }) => lines.length)
  for (const { child } of services) child.kill('SIGHUP')
  return Promise.all(services.map((service, i) => service.line(({ msg }) => ENDS.has(msg), from[i])))
}

/** Expects that no two of the last rollouts were in progress at the same time. */
export function assertOneByOne(services: Service[]): void {
  const spans = services.map(({ lines }) => {
    const end = lines.findLastIndex(({ msg }) => msg === 'rollout done')
    const start = lines.slice(0, end).findLastIndex(({ msg }) => msg === 'rollout started')
    return [Number(lines[start]!.time), Number(lines[end]!.time)] as const
  })
  const sorted = spans.toSorted((a, b) => a[0] - b[0])
  for (const [i, [start]] of sorted.entries()) {
    if (i > 0)
      assert.ok(start >= sorted[i - 1]![1], `a rollout began before another one ended: ${JSON.stringify(sorted)}`)
  }
}

interface AllHosts {
  hostsKnown: boolean
  hostsNote?: string
  hosts: { id: string; host: string; release: string; state: string; workers: { status: string }[] }[]
}

/** The answer of `muster status --all-hosts` when it fulfils the condition: heartbeats come from time to time. */
export async function allHosts(service: Service, isRight: (answer: AllHosts) => boolean): Promise<AllHosts> {
  let answer: AllHosts | undefined
  await until(
    async () => {
      const { stdout } = await muster(service, 'status', '--all-hosts', '--json')
      answer = (JSON.parse(stdout) as { result: AllHosts }).result
      return isRight(answer)
    },
    'the right list of hosts',
    120_000
  )
  return answer!
}

export const readyIn = ({ hosts }: AllHosts) =>
  hosts.flatMap(({ workers }) => workers.filter(({ status }) => status === 'ready')).length
