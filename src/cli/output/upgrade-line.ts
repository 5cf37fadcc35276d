import type { UpgradeStatus } from '../../admin/command-context.ts'
import { formatSeconds } from '../../common/text/units.ts'

/** What happens in each step, by the names of `upgrade-protocol.ts`. Newer services may have others. The console has the same texts. */
export const STEPS: Record<string, string> = {
  starting: 'the new primary starts',
  opening: 'a worker of the new primary starts',
  leaving: 'a worker of the old primary drains',
  committing: 'the new primary takes over',
  retiring: 'the old primary waits for its last workers',
  superseded: 'the old primary waits for its last workers',
  restoring: 'a worker of the old primary starts again',
  returning: 'a worker of the new primary drains',
  ending: 'the new primary ends',
  validating: 'the new primary starts',
  alone: 'the new primary starts, the old one is gone',
  waiting: 'a worker of the old primary drains',
  booting: 'a worker of the new primary starts',
  failing: 'a worker of the old primary starts again',
  releasing: 'a worker of the new primary drains',
  serving: 'the old primary waits for its last workers'
}

/** Describes an upgrade in one line. @param workers the number of slots @param now in ms since the epoch */
export function describeUpgrade(upgrade: UpgradeStatus, workers: number, now = Date.now()): string {
  const { pid, version, node, role, step, slots, since, why } = upgrade
  const isNew = role === 'successor'
  const release = isNew && version !== undefined ? `, muster ${version} on Node.js ${node}` : ''
  const other = pid === undefined ? '' : `; ${isNew ? 'new' : 'old'} primary: pid ${pid}${release}`
  const seconds = Math.max(0, Math.round((now - Date.parse(since)) / 1000))
  const failure = why === undefined ? '' : `, and is rolled back: ${why}`
  return `upgrade: began ${formatSeconds(seconds)} ago${failure}; ${Math.min(slots, workers)} of ${workers} slots have a new worker; ${STEPS[step] ?? step}${other}`
}
