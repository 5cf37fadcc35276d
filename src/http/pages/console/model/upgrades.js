// The replacement of the primary, in words. Pure.

/** What happens in each step. The command line has the same texts in `upgrade-line.ts`; a test compares them. */
export const STEPS = {
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

/**
 * @param upgrade as the status has it, while it goes on
 * @param desired the number of slots
 * @returns for example "Upgrading: a worker of the old primary drains; 1 of 2 slots have a new worker."
 */
export function describeUpgrade({ step, slots, why }, desired) {
  const verb = why === undefined ? 'Upgrading' : 'Rolling the upgrade back'
  return `${verb}: ${STEPS[step] ?? step}; ${Math.min(slots, desired)} of ${desired} slots have a new worker.`
}

/** @returns for example "muster 1.2.3 on Node.js v24.1.0, pid 4711"; empty when nothing is known yet */
export function describePrimary({ version, node, pid }) {
  const release = version === undefined ? [] : [`muster ${version} on Node.js ${node}`]
  return [...release, ...(pid === undefined ? [] : [`pid ${pid}`])].join(', ')
}
