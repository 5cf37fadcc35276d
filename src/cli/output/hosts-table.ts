import type { KnownHosts } from '../../admin/command-context.ts'
import { printable } from '../../common/text/printable.ts'
import { formatBytes, formatCount, formatDuration, formatSeconds } from '../../common/text/units.ts'
import type { HostView } from '../../ipc/host-messages.ts'
import { type Column, type Screen, STATE_COLOURS, table } from './table.ts'

/** A host, or one of its workers below it. */
interface Row {
  host: string
  release?: string
  slot: string
  state: string
  up: string
  generation: number
  connections: number
  requests: number
  utilization: number
  rssBytes: number
  seen?: string
}

const COLUMNS: Column<Row>[] = [
  { title: 'host', show: ({ host }) => printable(host) },
  { title: 'slot', show: ({ slot }) => slot },
  { title: 'state', show: ({ state }) => printable(state), colour: ({ state }) => STATE_COLOURS[state] },
  { title: 'up', show: ({ up }) => up, isQuantity: true },
  { title: 'release', show: ({ release = '' }) => printable(release) },
  { title: 'gen', show: ({ generation }) => String(generation), isQuantity: true },
  { title: 'conns', show: ({ connections }) => formatCount(connections), isQuantity: true },
  { title: 'requests', show: ({ requests }) => formatCount(requests), isQuantity: true },
  { title: 'busy', show: ({ utilization }) => `${Math.round(utilization * 100)} %`, isQuantity: true },
  { title: 'memory', show: ({ rssBytes }) => formatBytes(rssBytes), isQuantity: true },
  { title: 'seen', show: ({ seen = '' }) => seen, isQuantity: true }
]

/** Formats all hosts, each followed by its workers, and what is to be known about them. */
export function formatHosts({ hosts, hostsNote }: KnownHosts, screen: Screen): string {
  const waiting = hosts.flatMap(({ id, waitsFor, lastReload }) => [
    ...(waitsFor === undefined ? [] : [`${id}: a reload waits: ${waitsFor}`]),
    ...(lastReload?.why === undefined ? [] : [`${id}: last reload ${lastReload.outcome}: ${lastReload.why}`])
  ])
  const lines = [...waiting, ...(hostsNote === undefined ? [] : [hostsNote])]
  return `\n${table(hosts.flatMap(rowsOf), COLUMNS, screen)}${lines.map((line) => `${printable(line)}\n`).join('')}`
}

function rowsOf(host: HostView): Row[] {
  const sum = (field: 'connections' | 'requests' | 'rssBytes' | 'utilization') =>
    host.workers.reduce((total, worker) => total + (worker[field] ?? 0), 0)
  const own: Row = {
    host: host.id,
    release: host.release,
    slot: '',
    state: host.waitsFor === undefined ? host.state : 'waiting',
    up: formatSeconds(host.uptimeSeconds),
    generation: host.generation,
    connections: sum('connections'),
    requests: sum('requests'),
    utilization: sum('utilization') / Math.max(1, host.workers.length),
    rssBytes: sum('rssBytes'),
    seen: host.ageMs === 0 ? 'now' : `${formatDuration(host.ageMs)} ago`
  }
  const workers = host.workers
    .toSorted((a, b) => a.slot - b.slot || a.generation - b.generation)
    .map(({ slot, status, ...worker }): Row => ({ ...worker, host: '', slot: String(slot), state: status, up: '' }))
  return [own, ...workers]
}
