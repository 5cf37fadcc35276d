import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Agent, get } from 'node:http'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from './cleanup.ts'
import { RedisServer } from './redis-server.ts'
import { type Service, startService } from './service.ts'

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })

/** @returns why there can be no hosts here; false if there can */
export function noNamespaces(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces need root on Linux'
  const names = ['ip', 'unshare', 'hostname']
  const missing = names.filter(
    (name) => !['/usr/sbin/', '/usr/bin/', '/sbin/', '/bin/'].some((at) => existsSync(at + name))
  )
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  const probe = `m${process.pid}p`
  try {
    ip('netns', 'add', probe)
    ip('netns', 'delete', probe)
    return false
  } catch (error) {
    return `no network namespaces: ${(error as Error).message.split('\n')[0]}`
  }
}

/** A host: a network namespace with a host name, one interface for clients and one for Redis. */
export interface NetworkHost {
  service: Service
  name: string
  /** Where clients reach it. */
  address: string
  /** Cuts its way to Redis, and restores it. */
  partition: () => void
  heal: () => void
}

/** Starts services on hosts of their own, `web-1` and so on, which share one Redis. They are removed after the test. */
export async function startNetwork(t: TestContext, count: number, env: Record<string, string>): Promise<NetworkHost[]> {
  // Other tests may do the same at the same time.
  const id = process.pid % 20_000
  const [clients, state] = [
    `10.${64 + (id % 60)}.${Math.floor(id / 80) % 250}`,
    `10.${128 + (id % 60)}.${Math.floor(id / 80) % 250}`
  ]
  for (const [bridge, subnet] of [[`m${id}c`, clients] as const, [`m${id}s`, state] as const]) {
    ip('link', 'add', bridge, 'type', 'bridge')
    cleanup(t, () => ip('link', 'delete', bridge))
    ip('address', 'add', `${subnet}.254/24`, 'dev', bridge)
    ip('link', 'set', bridge, 'up')
  }
  const redis = await RedisServer.start(t, { bind: `127.0.0.1 ${state}.254`, 'protected-mode': 'no' })
  const REDIS_URL = `redis://${state}.254:${redis.port}`
  const hosts = Array.from({ length: count }, async (_, i) => {
    const [name, namespace] = [`web-${i + 1}`, `m${id}-${i + 1}`]
    ip('netns', 'add', namespace)
    cleanup(t, () => ip('netns', 'delete', namespace))
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    for (const [kind, subnet] of [['c', clients] as const, ['s', state] as const]) {
      const link = `m${id}${kind}${i + 1}`
      ip('link', 'add', link, 'type', 'veth', 'peer', 'name', `eth-${kind}`, 'netns', namespace)
      ip('link', 'set', link, 'master', `m${id}${kind}`, 'up')
      ip('-n', namespace, 'address', 'add', `${subnet}.${i + 1}/24`, 'dev', `eth-${kind}`)
      ip('-n', namespace, 'link', 'set', `eth-${kind}`, 'up')
    }
    const launcher = `ip netns exec ${namespace} unshare --uts sh -c 'hostname ${name} && exec "$@"' sh`
    const service = await startService(t, { launcher, env: { HOST: '0.0.0.0', REDIS_URL, ...env } })
    return {
      service,
      name,
      address: `${clients}.${i + 1}`,
      partition: () => void ip('link', 'set', `m${id}s${i + 1}`, 'down'),
      heal: () => void ip('link', 'set', `m${id}s${i + 1}`, 'up')
    }
  })
  return Promise.all(hosts)
}

/** Clients of all hosts, half of them on connections that stay open. They never retry. */
export class HostClients {
  answered = 0
  readonly failures: string[] = []
  #isStopping = false
  readonly #clients: Promise<void>[]

  constructor(t: TestContext, hosts: NetworkHost[], path: string) {
    cleanup(t, () => this.stop())
    this.#clients = hosts.flatMap(({ address, service }) => {
      const url = `http://${address}:${service.port}${path}`
      return [true, true, false, false].map((keepAlive) => this.#ask(url, new Agent({ keepAlive, maxSockets: 1 })))
    })
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(this.#clients)
  }

  async #ask(url: string, agent: Agent): Promise<void> {
    while (!this.#isStopping) {
      await new Promise<void>((resolve) => {
        const request = get(url, { agent }, (response) => {
          if (response.statusCode === 200) this.answered++
          else this.failures.push(`${url}: ${response.statusCode}`)
          response.on('close', resolve).resume()
        })
        request.on('error', (error) => {
          this.failures.push(`${url}: ${error.message}`)
          resolve()
        })
      })
      await sleep(20)
    }
    agent.destroy()
  }
}
