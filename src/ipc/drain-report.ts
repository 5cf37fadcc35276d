/** What a connection does when a worker drains. */
export const CONNECTION_KINDS = ['upload', 'download', 'request', 'stream', 'socket', 'idle'] as const
/**
 * - `upload`: the body of its request is still arriving;
 * - `download`: its response is being sent;
 * - `request`: the app has not begun to answer;
 * - `stream`: an event stream;
 * - `socket`: a WebSocket, or another protocol after an upgrade;
 * - `idle`: no request, or only a part of its head.
 */
export type ConnectionKind = (typeof CONNECTION_KINDS)[number]

/** Why a draining worker cut a connection. */
export const CUT_REASONS = [
  'stalled',
  'deadline',
  'linger-timeout',
  'linger-limit',
  'slow',
  'no-answer',
  'crash'
] as const
/**
 * - `stalled`: no byte moved for DRAIN_TIMEOUT;
 * - `deadline`: DRAIN_TIMEOUT after a stop, or for what must end by then;
 * - `linger-timeout`: it lasted for LINGER_TIMEOUT;
 * - `linger-limit`: too many workers lingered, or with too much memory;
 * - `slow`: its client was too slow for the limits that hold at all times;
 * - `no-answer`: the client of a WebSocket did not answer the close frame;
 * - `crash`: the lingering worker crashed, hung or was killed.
 */
export type CutReason = (typeof CUT_REASONS)[number]

/** Connections that were cut, for one reason. */
export interface Cut {
  kind: ConnectionKind
  reason: CutReason
  count: number
}

/** What a lingering worker waits for. */
export interface WaitsFor {
  /** Connections, or with HTTP/2 requests, by kind. */
  counts: Partial<Record<ConnectionKind, number>>
  /** The age of the oldest one, in ms. */
  oldestMs: number
}

const NOUNS: Partial<Record<ConnectionKind, string>> = { stream: 'event stream', idle: 'idle connection' }
const REASON_TEXTS: Record<CutReason, string> = {
  stalled: 'no byte moved for DRAIN_TIMEOUT',
  deadline: 'DRAIN_TIMEOUT',
  'linger-timeout': 'LINGER_TIMEOUT',
  'linger-limit': 'LINGER_MAX_WORKERS or LINGER_MAX_MEMORY',
  slow: 'the client was too slow',
  'no-answer': 'no answer to the close frame',
  crash: 'the worker ended'
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const amount = (count: number, kind: ConnectionKind) => `${count} ${NOUNS[kind] ?? kind}${count === 1 ? '' : 's'}`

/** Reads what a worker reports; whatever has a wrong form is left out. */
export function parseWaitsFor(value: unknown): WaitsFor {
  const { counts, oldestMs } = (value ?? {}) as { counts?: Record<string, unknown> | null; oldestMs?: unknown }
  const known = CONNECTION_KINDS.map((kind) => [kind, counts?.[kind]] as const).filter(([, count]) => isCount(count))
  return { counts: Object.fromEntries(known), oldestMs: isCount(oldestMs) ? oldestMs : 0 }
}

/** Reads the cuts that a worker reports; whatever has a wrong form is left out. */
export function parseCuts(value: unknown): Cut[] {
  if (!Array.isArray(value)) return []
  return (value as (Partial<Cut> | null)[]).flatMap((cut) => {
    const { kind, reason, count } = cut ?? {}
    const isKnown = CONNECTION_KINDS.includes(kind!) && CUT_REASONS.includes(reason!) && isCount(count)
    return isKnown ? [{ kind: kind!, reason: reason!, count }] : []
  })
}

/** Adds cuts to a list that has one entry for each kind and reason. */
export function addCuts(total: Cut[], cuts: readonly Cut[]): void {
  for (const { kind, reason, count } of cuts) {
    const known = total.find((cut) => cut.kind === kind && cut.reason === reason)
    if (known) known.count += count
    else total.push({ kind, reason, count })
  }
}

/** Adds up what several workers wait for. */
export function sumWaitsFor(all: readonly WaitsFor[]): WaitsFor {
  const counts: WaitsFor['counts'] = {}
  for (const kind of CONNECTION_KINDS) {
    const count = all.reduce((sum, one) => sum + (one.counts[kind] ?? 0), 0)
    if (count > 0) counts[kind] = count
  }
  return { counts, oldestMs: Math.max(0, ...all.map(({ oldestMs }) => oldestMs)) }
}

/** @returns for example "1 worker lingers: 2 uploads, oldest 3 m"; undefined when none does */
export function describeLingering(all: readonly WaitsFor[]): string | undefined {
  if (all.length === 0) return undefined
  const workers = all.length === 1 ? '1 worker lingers' : `${all.length} workers linger`
  return `${workers}: ${describeWaitsFor(sumWaitsFor(all))}`
}

/** @returns the cuts when a lingering worker ends without a report */
export const cutsByCrash = ({ counts }: WaitsFor): Cut[] =>
  CONNECTION_KINDS.flatMap((kind) => (counts[kind] ? [{ kind, reason: 'crash', count: counts[kind] }] : []))

/** @returns for example "2 uploads, 1 socket, oldest 3 m" */
export function describeWaitsFor({ counts, oldestMs }: WaitsFor): string {
  const parts = CONNECTION_KINDS.flatMap((kind) => (counts[kind] ? [amount(counts[kind], kind)] : []))
  return parts.length === 0 ? 'nothing' : `${parts.join(', ')}, oldest ${describeAge(oldestMs)}`
}

/** @returns for example "2 uploads (no byte moved for DRAIN_TIMEOUT), 1 socket (LINGER_TIMEOUT)"; empty without cuts */
export const describeCuts = (cuts: readonly Cut[]): string =>
  cuts.map(({ kind, reason, count }) => `${amount(count, kind)} (${REASON_TEXTS[reason]})`).join(', ')

function describeAge(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} m` : `${Math.round(minutes / 60)} h`
}
