import { join } from 'node:path'
import { writeNoFollow } from '../../common/no-follow.ts'
import { QuarantineGuard } from '../../http/plugins/quarantine/quarantine-guard.ts'
import { EXIT_MARK, inFlightFile, NO_ORDERS, type QuarantineOrders } from '../../ipc/quarantine.ts'
import type { Sighting } from '../../ipc/sightings.ts'
import type { Connection } from '../connections/connection.ts'
import type { PrimaryChannel } from '../primary-client.ts'
import { describeInFlight, InFlightSampler, repliesInFlight } from './in-flight-samples.ts'
import { InFlightTrace } from './in-flight-trace.ts'

/** The primary answers at once. */
const ANSWER_MS = 5000

/** This worker's part in finding and refusing requests that end workers. */
export interface QuarantineFollower {
  guard: QuarantineGuard
  /** Asks for the orders. The worker must not serve before. A primary of an older version has none. */
  start(): Promise<void>
  /** @returns the samples since the last call; undefined when none are wanted */
  takeSamples(): Sighting[][] | undefined
}

/** @param connections all connections of this worker */
export function followQuarantine(
  channel: PrimaryChannel,
  connections: Iterable<Connection>,
  runDir: string
): QuarantineFollower {
  const guard = new QuarantineGuard({
    request: (id) => channel.request('probe', { id }, ANSWER_MS).catch(() => false),
    ended: (id, outcome) => void channel.notify({ type: 'probe-ended', id, outcome })
  })
  const file = join(runDir, inFlightFile(process.pid))
  let orders: QuarantineOrders = NO_ORDERS
  let trace: InFlightTrace | undefined
  const sampler = new InFlightSampler(connections)
  const follow = (received: QuarantineOrders) => {
    const begins = received.traces && !orders.traces
    orders = received
    if (begins) trace ??= createTrace(file)
    const current = orders.traces ? trace : undefined
    if (begins && current) for (const reply of repliesInFlight(connections)) current.note(reply)
    guard.set(orders.routes, current && ((reply) => current.note(reply)))
  }
  process.on('exit', (code) => {
    if (orders.samples) reportInFlight(connections, file, code)
  })
  channel.on('quarantine', (message) => follow(message.orders))
  return {
    guard,
    async start() {
      const before = orders
      const answer = await channel.request('quarantine', {}, ANSWER_MS).catch(() => NO_ORDERS)
      // Orders that came meanwhile are as new, or newer: a busy worker reads them in one turn with the answer, before this line runs.
      if (orders === before) follow(answer)
      if (!orders.samples) return
      guard.beforeChange = () => sampler.beforeChange()
      sampler.start()
    },
    takeSamples: () => (orders.samples ? sampler.take() : undefined)
  }
}

/** @returns undefined when the file cannot be created: then deaths without a report stay without one */
function createTrace(file: string): InFlightTrace | undefined {
  try {
    return new InFlightTrace(file)
  } catch {
    return undefined
  }
}

/** Runs when the process exits by itself, also after an uncaught exception. A full disk costs the report. */
function reportInFlight(connections: Iterable<Connection>, file: string, code: number): void {
  try {
    const requests = describeInFlight(connections)
    if (code === 0 && requests.length === 0) return
    writeNoFollow(file, [EXIT_MARK, ...requests.map((request) => JSON.stringify(request)), ''].join('\n'))
  } catch {
    // The primary treats the death as one without a report.
  }
}
