import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleans } from '../helpers/cleanup.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import type { Random } from '../helpers/random.ts'
import { startRedis } from '../helpers/redis.ts'
import { clusterUrl, moveSlot, NODES, nodeOf, startCluster } from '../helpers/redis-cluster.ts'
import { SentinelPair } from '../helpers/redis-sentinel.ts'
import type { RedisServer } from '../helpers/redis-server.ts'
import { until } from '../helpers/until.ts'
import { nowMs } from '../history/operations.ts'
import type { Fault } from './fault.ts'
import { pause } from './member.ts'

/** A Redis for two services, and what goes wrong with it. */
export interface Setup {
  /** REDIS_URL of each service. */
  urls: [string, string]
  env: Record<string, string>
  faults: Fault[]
  /** Longest pause between two of the faults. */
  maxPauseMs?: number
  /**
   * Times, as `nowMs()` tells them, of which reads of sessions and settings are left out: they may have seen what replicas have not
   * confirmed and a failover has lost.
   */
  unconfirmed?: { from: number; to: number }[]
}

/** Runs a function while no client has a request in progress. */
export type Quietly = (act: () => Promise<void>) => Promise<void>

export type SetupName = 'single' | 'sentinel' | 'replicas' | 'cluster'
export const SETUPS: Record<SetupName, (t: Cleans, quietly: Quietly) => Promise<Setup>> = {
  single: startSingle,
  sentinel: startSentinel,
  replicas: startReplicas,
  cluster: startThreeNodes
}

/** Longer than a write may wait for replicas: REDIS_TIMEOUT and some more. */
const BEFORE_FAILOVER_MS = 4000
/** Longer than a worker takes to read the settings of another Redis. */
const AFTER_FAILOVER_MS = 5000

/** Requests that may be executed twice: all but writes of settings, which Redis cannot tell from new ones. */
const isRepeatable = (chunk: Buffer): boolean => chunk[0] === 42 && !chunk.includes('muster:settings')

/** The embedded Redis as it ships, and a proxy in front of it for each service. */
async function startSingle(t: Cleans): Promise<Setup> {
  const redis = await startRedis(t)
  const proxies = [await RedisProxy.start(t, redis.url), await RedisProxy.start(t, redis.url)] as const
  const kill = async () => {
    const killed = redis.pid()
    process.kill(killed, 'SIGKILL')
    await until(() => redis.pid() !== killed, 'another Redis', 120_000)
  }
  return {
    urls: [proxies[0].url, proxies[1].url],
    env: {},
    faults: [
      { name: 'SIGKILL of Redis', run: kill },
      { name: 'SIGSTOP of Redis', run: (random) => pause(redis.pid(), random) },
      ...proxies.flatMap(faultsOfProxy)
    ]
  }
}

function faultsOfProxy(proxy: RedisProxy): Fault[] {
  const wait = (random: Random) => sleep(random.between(50, 2500))
  return [
    { name: 'connections cut', run: async () => proxy.cut() },
    {
      name: 'replies lost',
      async run(random) {
        proxy.loseAnswers(random.between(1, 3), 'muster:')
        await wait(random)
        proxy.loseAnswers(0, '')
      }
    },
    {
      name: 'requests duplicated',
      async run(random) {
        proxy.duplicate(random.between(5, 50), isRepeatable)
        await wait(random)
        proxy.duplicate(0, isRepeatable)
      }
    },
    {
      name: 'connections held back',
      async run(random) {
        proxy.strand()
        await wait(random)
        await proxy.flow()
      }
    },
    {
      name: 'network hanging',
      async run(random) {
        proxy.hang()
        await wait(random)
        await proxy.flow()
      }
    },
    {
      name: 'connections refused',
      async run(random) {
        await proxy.refuse()
        await wait(random)
        await proxy.accept()
      }
    },
    {
      name: 'replies dropped',
      async run(random) {
        proxy.mute()
        await wait(random)
        proxy.unmute()
        // A single missing reply would shift all later ones.
        proxy.cut()
      }
    },
    {
      name: 'network delayed',
      async run(random) {
        const maxMs = random.between(20, 800)
        proxy.latency = { request: () => random.between(0, maxMs), answer: () => random.between(0, maxMs) }
        await wait(random)
        proxy.latency = {}
      }
    }
  ]
}

/**
 * Two servers and a Sentinel, as they ship. Replication is asynchronous, so a failover may lose what was acknowledged last. Here the
 * failovers wait for the replica while no client has a request in progress.
 */
async function startSentinel(t: Cleans, quietly: Quietly): Promise<Setup> {
  // A failover that the Sentinel begins by itself could lose something.
  const pair = await SentinelPair.start(t, { downAfterMs: 5000 })
  const failOver = (act: () => Promise<void>) =>
    quietly(async () => {
      await pair.replicated()
      await act()
    })
  return { urls: [pair.url, pair.url], env: { HISTORY_EVERY: 'off' }, faults: sentinelFaults(pair, failOver) }
}

/** The same with `REDIS_DURABILITY=replicas:1`: failovers happen at any moment. */
async function startReplicas(t: Cleans): Promise<Setup> {
  const pair = await SentinelPair.start(t, { isConfirmed: true, downAfterMs: 1000 })
  const unconfirmed: { from: number; to: number }[] = []
  const failOver = async (act: () => Promise<void>) => {
    const from = nowMs() - BEFORE_FAILOVER_MS
    await act()
    unconfirmed.push({ from, to: nowMs() + AFTER_FAILOVER_MS })
  }
  const env = { REDIS_DURABILITY: 'replicas:1' }
  const stop = { name: 'Sentinel failover by SIGSTOP', run: () => failOver(() => pair.failOverByStop()) }
  const faults = [...sentinelFaults(pair, failOver), stop]
  // Between two failovers, reads are to be checked.
  return { urls: [pair.url, pair.url], env, faults, maxPauseMs: 10_000, unconfirmed }
}

function sentinelFaults(pair: SentinelPair, failOver: (act: () => Promise<void>) => Promise<void>): Fault[] {
  return [
    { name: 'Sentinel failover', run: () => failOver(() => pair.failOver()) },
    { name: 'Sentinel failover by SIGKILL', run: () => failOver(() => pair.failOverByKill()) },
    { name: 'SIGSTOP of a replica', run: (random) => pause(pair.replica.pid(), random) }
  ]
}

/** A Cluster of three nodes that write to the disk before they answer. */
async function startThreeNodes(t: Cleans): Promise<Setup> {
  const nodes = await startCluster(t, { appendfsync: 'always' })
  const owners = new Map<number, number>()
  const anyNode = (random: Random): RedisServer => nodes[random.between(0, NODES - 1)]!
  const move = async (random: Random) => {
    const slots = await Promise.all(
      ['muster:hits', 'muster:settings', 'muster:leases'].map((key) => nodes[0]!.client.cluster('KEYSLOT', key))
    )
    const slot = slots[random.between(0, slots.length - 1)]!
    const owner = owners.get(slot) ?? nodeOf(slot)
    const next = (owner + random.between(1, NODES - 1)) % NODES
    await moveSlot(slot, nodes[owner]!, nodes[next]!, nodes)
    owners.set(slot, next)
  }
  const moveSession = async (random: Random) => {
    const from = random.between(0, NODES - 1)
    const [, keys] = await nodes[from]!.client.scan(0, 'MATCH', 'muster:session:*', 'COUNT', 1000)
    const key = keys[random.between(0, keys.length - 1)]
    if (key === undefined) return
    const slot = await nodes[0]!.client.cluster('KEYSLOT', key)
    const next = (from + random.between(1, NODES - 1)) % NODES
    await moveSlot(slot, nodes[from]!, nodes[next]!, nodes)
    owners.set(slot, next)
  }
  const restart = async (random: Random) => {
    const node = anyNode(random)
    await node.end('SIGKILL')
    await node.run()
    for (const { client } of nodes) {
      // While it loads its file, a node answers with an error.
      const info = () => client.cluster('INFO').catch(() => '')
      await until(async () => /cluster_state:ok/.test(await info()), 'a Cluster that is whole', 120_000)
    }
  }
  return {
    urls: [clusterUrl(nodes), clusterUrl(nodes)],
    env: {},
    faults: [
      { name: 'Cluster slot move', run: move },
      { name: 'Cluster slot move of a session', run: moveSession },
      { name: 'SIGKILL of a Cluster node', run: restart },
      { name: 'SIGSTOP of a Cluster node', run: (random) => pause(anyNode(random).pid(), random) }
    ]
  }
}
