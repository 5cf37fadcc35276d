import type { SimCluster } from './sim-cluster.ts'

/** Calm times are checked this long after the last fault, in ms. */
export const SETTLE_MS = 8 * 60_000

/** Checks what must hold at every moment. Called after each event, so that it must be cheap. */
export function checkAlways(cluster: SimCluster): void {
  const { primary, network, isStopping, exit } = cluster
  if (primary && !isStopping && !exit && network.acceptor?.process.alive !== true) {
    cluster.fail('no process accepts at the port')
  }
}

/** @returns why the service has not settled: it must have what is wanted, and nothing else; undefined if it has */
export function unsettled(cluster: SimCluster): string | undefined {
  const { primary, exit, primaryProcess } = cluster
  if (exit || !primaryProcess.alive) return undefined
  const broken = Object.entries(primary.errors.counts).filter(([, count]) => count > 0)
  if (broken.length > 0) return `the primary caught exceptions of its own: ${broken}`
  return unsettledPolicy(cluster) ?? unsettledDescriptors(cluster)
}

function unsettledPolicy({ primary, host, mayBeMixed }: SimCluster): string | undefined {
  const { state } = primary.supervisor
  if (state.rollout) return `a rollout does not end: ${JSON.stringify(state.rollout)}`
  const slots = [...host.workers.values()].map(({ slot }) => slot).sort((a, b) => a - b)
  const wanted = Array.from({ length: state.desired }, (_, slot) => slot)
  if (String(slots) !== String(wanted)) return `workers are in the slots ${slots}, and not in ${wanted}`
  if (primary.pool.peers().length !== slots.length) return 'the pool has workers that have ended'
  for (const { id, status, generation, slot } of state.workers) {
    if (status !== 'ready') return `the worker of slot ${slot} is ${status}`
    if (generation !== state.generation && !mayBeMixed)
      return `slot ${slot} runs generation ${generation}, not ${state.generation}`
    if (!host.workers.has(id)) return `the worker of slot ${slot} is no process`
  }
  return undefined
}

function unsettledDescriptors({ host, network, primaryProcess }: SimCluster): string | undefined {
  for (const { process, worker, channel } of host.workers.values()) {
    const { openCount } = worker!.connections.registry
    const { size } = process.handles
    if (size !== openCount) return `${process.name} has ${size} descriptors for ${openCount} connections`
    if (channel.handlesUnderWay > 0) return `a descriptor is on its way to or from ${process.name}`
  }
  if (primaryProcess.handles.size > 0) return `the primary has ${primaryProcess.handles.size} descriptors`
  for (const { copies, id } of network.open) {
    if (copies.size !== 1) return `connection ${id} has ${copies.size} copies`
  }
  return undefined
}

/** Checks what must hold after the service and its clients have ended. */
export function checkEnd(cluster: SimCluster): void {
  const { host, network, exit, clients, plan, primaryProcess } = cluster
  if (plan.end === 'stop' && exit?.code !== 'drained')
    cluster.fail(`the service ended as ${exit?.code}: ${exit?.cause}`)
  if (primaryProcess.alive) cluster.fail('the primary has not ended')
  for (const { process } of host.workers.values()) {
    if (!process.isHung) cluster.fail(`${process.name} has not ended`)
  }
  for (const client of clients.active) cluster.fail(`a client has not finished: ${client.describe()}`)
  for (const { id, copies } of network.open) {
    if ([...copies].some(({ process }) => !process?.isHung)) cluster.fail(`connection ${id} is still open`)
  }
}
