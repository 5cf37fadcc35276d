// Answers "is it healthy?" in one line, and lists what needs attention. Pure.

import { formatCount, formatNumber, formatPercent } from './units.js'

const SLOW_LOOP_MS = 500
const BUSY_LOOP = 0.95
const RECENT_MS = 10 * 60_000
/** Restarts that a worker did not cause by failing. */
const PLANNED = new Set(['memory', 'requests', 'age', 'asked'])

const readySlotsOf = ({ workers }) =>
  new Set(workers.filter(({ status }) => status === 'ready').map(({ slot }) => slot)).size

/** The first of these that applies is the answer: [level, sentence]. */
const ANSWERS = [
  ({ state }, { ready, desired }) =>
    state === 'draining' && ['warn', `Stopping: the service drains. ${ready} of ${desired} workers still serve.`],
  ({ state }) => state === 'starting' && ['busy', 'Starting: the first workers boot.'],
  (_, { ready }) => ready === 0 && ['bad', 'Down: no worker serves. Connections wait.'],
  ({ redis }) => redis === false && ['bad', 'Redis is away: requests that need it get 503.'],
  ({ state }, { serving }) => state === 'degraded' && ['bad', `Degraded: a slot fails again and again. ${serving}.`],
  ({ state, upgrade }, { serving }) =>
    state === 'upgrading' && upgrade?.why && ['warn', `Healthy, but an upgrade is rolled back. ${serving}.`],
  ({ state }, { serving }) => state === 'upgrading' && ['busy', `Healthy, and an upgrade is under way. ${serving}.`],
  ({ state }, { serving }) => state === 'reloading' && ['busy', `Healthy, and a reload is under way. ${serving}.`],
  (_, { ready, desired, serving }) => ready < desired && ['warn', `Reduced: only ${serving}.`],
  (_, { serving }) => ['good', `Healthy: ${serving}.`]
]

/**
 * @param status as the service sends it
 * @param rate requests per second
 * @returns `level` ('good', 'busy', 'warn' or 'bad') and `line`
 */
export function healthOf(status, rate) {
  const { desired } = status
  const ready = readySlotsOf(status)
  const served = Number.isFinite(rate) ? `, ${formatNumber(rate)} requests/s` : ''
  const facts = {
    ready,
    desired,
    serving: `${ready} of ${formatCount(desired, 'worker')} ${ready === 1 ? 'serves' : 'serve'}${served}`
  }
  const [level, line] = ANSWERS.map((answer) => answer(status, facts)).find(Boolean)
  return { level, line }
}

function* rolloutNotes({ trial, lastReload, rolloutWaits }) {
  if (trial?.state === 'held') {
    yield { level: 'warn', text: 'The canary waits for your decision: promote it or roll it back.', target: 'rollouts' }
  }
  if (rolloutWaits)
    yield { level: 'warn', text: `The reload waits for its turn: ${rolloutWaits.why}`, target: 'rollouts' }
  if (lastReload?.outcome === 'failed' || lastReload?.outcome === 'refused') {
    const verb = lastReload.outcome === 'failed' ? 'failed' : 'was refused'
    yield { level: 'bad', text: `The last reload ${verb}: ${firstLine(lastReload.why)}`, target: 'rollouts' }
  }
}

function* workerNotes({ workers }) {
  for (const { slot, loopDelayMs, utilization, waitsFor, status } of workers) {
    if (loopDelayMs >= SLOW_LOOP_MS && !waitsFor) {
      yield {
        level: 'bad',
        text: `Slot ${slot}: the event loop is late by ${formatNumber(loopDelayMs)} ms.`,
        target: 'workers'
      }
    } else if (utilization >= BUSY_LOOP && status === 'ready') {
      yield {
        level: 'warn',
        text: `Slot ${slot}: the event loop is busy ${formatPercent(utilization)} of the time.`,
        target: 'workers'
      }
    }
  }
  const lingering = workers.filter(({ waitsFor }) => waitsFor).length
  if (lingering > 0) {
    const text = `${formatCount(lingering, 'replaced worker')} ${lingering === 1 ? 'lingers' : 'linger'} for long requests.`
    yield { level: 'plain', text, target: 'workers' }
  }
}

function* routeNotes({ quarantine = [], autoscaling }) {
  for (const { route, why } of quarantine) {
    yield { level: 'warn', text: `${route} is quarantined: ${firstLine(why)}`, target: 'quarantine' }
  }
  if (autoscaling?.limit) {
    yield {
      level: 'warn',
      text: `The load asks for more workers than the ${autoscaling.limit} allows.`,
      target: 'figures'
    }
  }
}

/** A failed upgrade needs attention until another one is done. */
function* upgradeNotes(entries) {
  const last = entries.findLast(({ event }) => event === 'upgrade failed' || event === 'upgrade done')
  if (last?.event !== 'upgrade failed') return
  yield { level: 'bad', text: `The last upgrade failed: ${firstLine(last.why)}`, target: 'rollouts' }
}

/** Counts what the journal says of workers that failed lately. */
function* journalNotes(entries, now) {
  const recent = entries.filter(({ event, at }) => event === 'exited' && now - Date.parse(at) < RECENT_MS)
  const failed = recent.filter(({ why = '' }) => !/^(exit code 0|drained)/.test(why))
  if (failed.length === 0) return
  const { slot, why = 'no reason is known' } = failed.at(-1)
  const text = `${formatCount(failed.length, 'worker')} failed in the last 10 minutes, the last one in slot ${slot}: ${firstLine(why)}`
  yield { level: 'bad', text, target: 'journal' }
}

function* hostNotes(hosts) {
  for (const { id, state, desired, workers, ageMs } of hosts) {
    const ready = readySlotsOf({ workers })
    if (ageMs > 0 && (state === 'degraded' || ready < desired)) {
      yield {
        level: 'warn',
        text: `Host ${id}: ${state}, ${ready} of ${desired} workers ready.`,
        target: 'hosts-panel'
      }
    }
  }
}

const firstLine = (text = 'no reason is known') => text.split('\n')[0]

/**
 * @param entries of the journal, the oldest first
 * @param context `now` in ms since 1970; `hosts`: all hosts; `maintenance`: that setting
 * @returns notes, the worst first: `{ level: 'bad' | 'warn' | 'plain', text, target }`; `target` is the id of a section
 */
export function attentionOf(status, entries, { now, hosts = [], maintenance = false }) {
  const notes = [
    ...(maintenance
      ? [{ level: 'bad', text: 'Maintenance is on: every route of the app answers 503.', target: 'settings' }]
      : []),
    ...rolloutNotes(status),
    ...upgradeNotes(entries),
    ...workerNotes(status),
    ...routeNotes(status),
    ...journalNotes(entries, now),
    ...hostNotes(hosts)
  ]
  const order = ['bad', 'warn', 'plain']
  return notes.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level))
}

/** @returns restarts by reason, such as "2: crash 1, memory 1" */
export function describeRestarts(restarts) {
  const counts = Object.entries(restarts).filter(([, count]) => count > 0)
  const total = counts.reduce((sum, [, count]) => sum + count, 0)
  return {
    total,
    text: counts.map(([reason, count]) => `${reason} ${count}`).join(', '),
    failed: counts.some(([reason]) => !PLANNED.has(reason))
  }
}
