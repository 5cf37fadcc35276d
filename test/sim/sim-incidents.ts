import type { SimCluster } from './sim-cluster.ts'
import type { Incident } from './sim-plan.ts'

/** Lets something happen to a cluster from outside. It does nothing to a slot that no worker serves. */
export function applyIncident(cluster: SimCluster, incident: Incident): void {
  const { faults, primaryProcess, time, world, disk } = cluster
  if (cluster.exit || !primaryProcess.alive) return
  const worker = 'slot' in incident ? cluster.workerIn(incident.slot) : undefined
  const inPrimary = (run: () => void) => time.plan(primaryProcess, 0, run)
  const { supervisor, pool } = cluster.primary
  /** Ends a fault after its time. */
  const later = (ms: number, end: () => void) => time.plan(world, ms, end)
  switch (incident.kind) {
    case 'reload': {
      const { forMs, share } = incident
      const request = { ...(forMs !== undefined && { forMs }), ...(share !== undefined && { share }) }
      inPrimary(() => supervisor.handle({ type: 'reload', request }))
      return
    }
    case 'deploy': {
      const { boots, errors, forMs } = incident
      disk.deploy({ boots, errors })
      const request = forMs === undefined ? {} : { forMs }
      inPrimary(() => supervisor.handle({ type: 'reload', request }))
      return
    }
    case 'scale':
      inPrimary(() => supervisor.handle({ type: 'scale', desired: incident.workers }))
      return
    case 'recycle':
      if (worker) inPrimary(() => supervisor.handle({ type: 'recycle', id: worker.id }))
      return
    case 'garbage':
      if (!worker) return
      worker.process.isFaulty = true
      inPrimary(() => worker.process.alive && worker.events.onProtocolViolation('garbage on its channel'))
      return
    case 'memory':
      if (worker) worker.process.rssBytes = 300e6
      return
    case 'crash':
      if (worker) worker.process.messagesLeft = incident.messages
      return
    case 'hang':
      worker?.process.stallFor(Number.POSITIVE_INFINITY, incident.how)
      return
    case 'stall':
      if (worker && !worker.process.isHung) worker.process.stallFor(incident.ms, incident.how)
      return
    case 'stall primary':
      primaryProcess.stallFor(incident.ms, 'starved')
      return
    case 'forks fail':
      faults.forksFail = incident.how
      later(incident.ms, () => {
        faults.forksFail = undefined
      })
      return
    case 'slow channels':
      faults.delayMs = incident.delayMs
      later(incident.ms, () => {
        faults.delayMs = 0
      })
      return
    case 'slow boots':
      faults.slowBootMs = incident.bootMs
      later(incident.ms, () => {
        faults.slowBootMs = 0
      })
      return
    case 'descriptors lost':
      faults.descriptorsLost = incident.count
      later(20_000, () => {
        faults.descriptorsLost = 0
      })
      return
    case 'rebalance': {
      const others = [...cluster.host.workers.values()].filter(
        ({ id, process }) => id !== worker?.id && !process.leaves
      )
      const targets = others.map(({ id }) => ({ id, amount: 0.5 / others.length }))
      if (!worker || targets.length === 0) return
      inPrimary(
        () => void pool.get(worker.id)?.channel.notify({ type: 'rebalance', utilization: 0.9, keep: 0.4, targets })
      )
      return
    }
    case 'promote':
      inPrimary(() => supervisor.handle({ type: 'promote' }))
      return
  }
}
