import { createRequire } from 'node:module'
import { cpus, release, totalmem, type } from 'node:os'
import { wrkVersion } from './load/wrk.ts'

/** One line of Markdown about what the numbers were measured on and with. @param redis its version; undefined when unused */
export function machineLine(redis: string | undefined): string {
  const processors = cpus()
  const cpu = processors[0]?.model.trim() || 'unknown CPU'
  const { version } = createRequire(import.meta.url)('fastify/package.json') as { version: string }
  const hardware = `${cpu}, ${processors.length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`
  const software = [`Node ${process.versions.node}`, `Fastify ${version}`, ...(redis ? [redis] : [])].join(', ')
  const load = wrkVersion() ? `wrk ${wrkVersion()}` : 'clients in JavaScript'
  const day = new Date().toISOString().slice(0, 10)
  return `Measured on ${day}: ${hardware}, ${type()} ${release().split('-')[0]}; ${software}, load by ${load}.`
}
