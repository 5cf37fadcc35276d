import { createRequire } from 'node:module'
import { cpus, release, totalmem, type } from 'node:os'
import { wrkVersion } from './load/wrk.ts'

/** What the numbers were measured on and with. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly os: string
  readonly node: string
  readonly fastify: string
  /** Name and version; undefined when no selected server needs one. */
  readonly redis: string | undefined
  /** What makes the load: wrk where there is one, else autocannon and what is written by hand. */
  readonly load: string
  /** YYYY-MM-DD, UTC. */
  readonly date: string
}

export function machine(redis: string | undefined): Machine {
  const processors = cpus()
  const wrk = wrkVersion()
  const { version } = createRequire(import.meta.url)('fastify/package.json') as { version: string }
  return {
    cpu: processors[0]?.model.trim() || 'unknown CPU',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release().split('-')[0]}`,
    node: process.versions.node,
    fastify: version,
    redis,
    load: wrk === undefined ? 'autocannon' : `wrk ${wrk}`,
    date: new Date().toISOString().slice(0, 10)
  }
}

/** One line of Markdown. */
export function machineLine(on: Machine): string {
  const redis = on.redis === undefined ? '' : `, ${on.redis}`
  const hardware = `${on.cpu}, ${on.cores} cores, ${on.memoryGiB} GiB, ${on.os}`
  return `Measured on ${on.date}: ${hardware}; Node ${on.node}, Fastify ${on.fastify}${redis}, load by ${on.load}.`
}
