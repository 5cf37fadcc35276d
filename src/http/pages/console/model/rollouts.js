// Reloads and upgrades, as the journal tells them: what happened to each slot, and when. Pure.

const MAX_ROLLOUTS = 5
/** Time between two labels of a time axis. */
const STEPS_SECONDS = [0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600]

/**
 * A rollout: `kind` ('reload' or 'upgrade'), `generation`, `from` and `to` (ids of releases), `startedAt`, `endedAt`, `outcome`
 * and `why`, `primary` (the new one of an upgrade: { pid, version, node }), `trial` ({ from, to, text }), and `slots`: a map from the slot to its bars. A bar is `{ row, stage, from, to }`;
 * row 0 is the new worker and row 1 the old one, times are in ms since 1970, and a bar without `to` goes on.
 */
const createRollout = (kind, at, fields) => ({ kind, startedAt: at, slots: new Map(), workers: new Map(), ...fields })

const createSlot = () => ({ bars: [], moved: 0, total: 0, cut: 0, note: '', failed: false })

function slotOf(rollout, slot) {
  if (!rollout.slots.has(slot)) rollout.slots.set(slot, createSlot())
  return rollout.slots.get(slot)
}

/** Ends the current bar of a worker and begins another one, unless `stage` is undefined. */
function turnTo(rollout, { slot, pid }, at, row, stage) {
  const lane = slotOf(rollout, slot)
  const known = rollout.workers.get(pid)
  if (known && known.to === undefined) known.to = at
  if (!stage) return lane
  const bar = { row, stage, from: at, to: undefined, pid }
  rollout.workers.set(pid, bar)
  lane.bars.push(bar)
  return lane
}

const STEPS = {
  starts(rollout, entry, at, isNew) {
    const isControl = !isNew && rollout.kind === 'reload' && !rollout.trial?.to && !rollout.hasFailed
    if (isControl) rollout.control = entry.pid
    else turnTo(rollout, entry, at, 0, isNew ? 'starting' : 'back')
  },
  ready(rollout, entry, at) {
    if (rollout.workers.has(entry.pid)) turnTo(rollout, entry, at, 0, 'serving')
  },
  drains(rollout, entry, at, isNew) {
    if (entry.pid === rollout.control) return
    if (isNew) rollout.hasFailed = true
    turnTo(rollout, entry, at, isNew ? 0 : 1, isNew ? 'back' : 'draining')
  },
  lingers(rollout, entry, at, isNew) {
    if (entry.pid === rollout.control || isNew) return
    turnTo(rollout, entry, at, 1, 'lingering').note = `lingers: ${entry.why}`
  },
  drained(rollout, entry) {
    if (entry.pid === rollout.control) return
    const lane = slotOf(rollout, entry.slot)
    lane.total += entry.total ?? 0
    lane.moved += entry.handedOver ?? 0
    lane.cut += entry.cut ?? 0
    if (lane.note.startsWith('lingers')) lane.note = ''
  },
  exited(rollout, entry, at, isNew) {
    if (!rollout.workers.has(entry.pid)) return
    const lane = turnTo(rollout, entry, at)
    if (!isNew || rollout.endedAt !== undefined) return
    lane.failed = true
    rollout.hasFailed = true
  },
  'cannot boot'(rollout, entry, at, isNew) {
    if (!isNew) return
    const lane = turnTo(rollout, entry, at, 0)
    rollout.hasFailed = true
    lane.failed = true
    lane.note = entry.why.split('\n')[0]
  }
}

function endRollout(rollout, { event, why, version, node }, at) {
  rollout.endedAt = at
  rollout.outcome = event.split(' ')[1]
  rollout.why = why
  if (version !== undefined) Object.assign(rollout.primary, { version, node })
}

/** Follows the journal. Give it every entry once, in the order of time. */
export class Rollouts {
  /** The newest first. */
  list = []

  apply(entry) {
    const at = Date.parse(entry.at)
    const { event } = entry
    const [current] = this.list
    if ((event === 'start' || event === 'stop') && current && current.endedAt === undefined) {
      endRollout(current, { event: 'reload stopped', why: 'the service ended' }, at)
    } else if (event === 'reload begins') this.#begin('reload', at, entry)
    else if (event === 'upgrade begins') this.#begin('upgrade', at, entry)
    else if (!current) return
    else if (/^(reload|upgrade) (done|failed|stopped|held)$/.test(event)) endRollout(current, entry, at)
    else if (event === 'trial begins') current.trial = { from: at, to: undefined, text: '' }
    else if (event === 'trial ends') {
      current.trial = { ...(current.trial ?? { from: at }), to: at, text: entry.why }
    } else if (entry.slot !== undefined) this.#applyToSlot(current, entry, at)
  }

  #begin(kind, at, { generation, from, to, successor }) {
    this.list.unshift(createRollout(kind, at, { generation, from, to, primary: { pid: successor } }))
    this.list.length = Math.min(this.list.length, MAX_ROLLOUTS)
  }

  /** The status knows earlier than the journal who the new primary is, and why an upgrade is rolled back. */
  applyStatus({ upgrade }) {
    const [current] = this.list
    if (!upgrade || current?.kind !== 'upgrade' || current.endedAt !== undefined) return
    current.why = upgrade.why
    if (upgrade.version === undefined || upgrade.role !== 'successor') return
    current.primary = { pid: upgrade.pid, version: upgrade.version, node: upgrade.node }
  }

  /** A worker that lingers ends after its rollout. Other workers that come and go then do not belong to it. */
  #applyToSlot(current, entry, at) {
    const owner = this.list.find(({ workers }) => workers.has(entry.pid)) ?? current
    if (owner.endedAt !== undefined && !owner.workers.has(entry.pid)) return
    const isLater = owner.endedAt !== undefined && owner.workers.get(entry.pid)?.stage === 'serving'
    if (isLater) return
    const isNew = owner.kind === 'upgrade' ? isOfSuccessor(owner, entry) : entry.generation === owner.generation
    STEPS[entry.event]?.(owner, entry, at, isNew)
  }
}

/** In an upgrade, workers that start are the successor's, and those that were there before are replaced. */
function isOfSuccessor(rollout, { event, pid }) {
  return event === 'starts' || rollout.workers.get(pid)?.row === 0
}

/** @returns the end of the time axis of a rollout, in ms after its start: a multiple of four round steps */
export function spanOf(rollout, now) {
  const ends = [...rollout.slots.values()].flatMap(({ bars }) => bars.filter(({ stage }) => stage !== 'serving'))
  const last = Math.max(rollout.endedAt ?? now, ...ends.map(({ to }) => to ?? now))
  const seconds = Math.max(1, (last - rollout.startedAt) / 1000)
  const step = STEPS_SECONDS.find((size) => size * 4 >= seconds)
  return 4000 * (step ?? Math.ceil(seconds / 4 / 3600) * 3600)
}

/** @returns for example "11 of 12 connections moved, 1 cut"; empty when nothing is known yet */
export function describeLane({ total, moved, cut, note }) {
  const parts = []
  if (total > 0) parts.push(`${moved} of ${total} connection${total === 1 ? '' : 's'} moved`)
  if (cut > 0) parts.push(`${cut} cut`)
  if (note) parts.push(note)
  return parts.join(', ')
}
