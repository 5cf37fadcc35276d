import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { UpgradeOutcome } from '../../src/admin/command-context.ts'
import { isAlive, muster, processesWith, type Service } from './service.ts'
import { until } from './until.ts'

/** The primary in charge, by the pid file. */
export const primaryOf = ({ runDir }: Pick<Service, 'runDir'>): number =>
  Number(readFileSync(join(runDir, 'muster.pid'), 'utf8'))

/** Upgrades a service and waits until the old primary is gone. @returns the outcome */
export async function upgrade(service: Service, ...args: string[]): Promise<UpgradeOutcome> {
  const old = primaryOf(service)
  const { code, stdout } = await muster(service, 'upgrade', '--json', ...args)
  assert.equal(code, 0, `${stdout}\n${service.tail()}`)
  const outcome: UpgradeOutcome = JSON.parse(stdout).result
  await until(() => !isAlive(old), 'the end of the old primary', 60_000)
  assert.notEqual(primaryOf(service), old)
  return outcome
}

/** Upgrades a service and expects that it fails and changes nothing. @returns what the command printed */
export async function failUpgrade(service: Service, ...args: string[]): Promise<string> {
  const old = primaryOf(service)
  const { code, stdout, stderr } = await muster(service, 'upgrade', ...args)
  assert.equal(code, 1, `${stdout}\n${stderr}\n${service.tail()}`)
  assert.equal(primaryOf(service), old)
  return `${stdout}\n${stderr}`
}

/** The embedded Redis of a service. */
export function redisOf({ runDir }: Pick<Service, 'runDir'>): number | undefined {
  return processesWith(join(runDir, 'redis.sock')).find((pid) => commandOf(pid).includes('redis-server'))
}

export const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** Every descriptor of a process. */
export const descriptorsOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      return []
    }
  })

/** Stops the service that was upgraded, and waits until every process of it is gone. */
export async function stopUpgraded(service: Service): Promise<void> {
  const { code, stderr } = await muster(service, 'stop')
  assert.equal(code, 0, stderr)
  await until(() => processesWith(service.runDir).length === 0, 'the end of all processes', 60_000)
}
