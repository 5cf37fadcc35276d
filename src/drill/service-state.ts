import type { QuarantineView, ServiceStatus } from '../admin/command-context.ts'
import { DrillError } from './drill-errors.ts'
import type { DrillTarget } from './service-watch.ts'

/** What must be the same after a drill as before it. */
export interface ServiceState {
  pid: number
  workers: number
  range: string | null
  /** As JSON. Undefined while no worker can read them. */
  settings: string | undefined
  /** As JSON. */
  configuration: string
  quarantined: string[]
}

/** @throws DrillError when the service does not answer */
export async function readState(target: DrillTarget): Promise<ServiceState> {
  const status = await ask<ServiceStatus>(target, 'status')
  const settings = await ask<object>(target, 'settings-get').catch(() => undefined)
  const { routes } = await ask<{ routes: QuarantineView[] }>(target, 'quarantine-list')
  return {
    pid: status.pid,
    workers: status.desired,
    range: status.autoscaling?.range ?? null,
    settings: settings && JSON.stringify(settings),
    configuration: JSON.stringify(await ask(target, 'config')),
    quarantined: routes.map(({ route }) => route)
  }
}

async function ask<T>(target: DrillTarget, command: string): Promise<T> {
  const answer = await target.ask(command)
  if (!('result' in answer)) throw new DrillError(answer.message)
  return answer.result as T
}

/** Returns the differences, for people. Where the load decides on the number of workers, the drill is one more load. */
export function differencesOf(before: ServiceState, after: ServiceState): string[] {
  const decidedByLoad = before.range !== null && before.range === after.range
  const found: [boolean, string][] = [
    [before.pid !== after.pid, `the primary was ${before.pid} and is ${after.pid}`],
    [before.workers !== after.workers && !decidedByLoad, `${before.workers} workers were wanted, now ${after.workers}`],
    [before.range !== after.range, `the range of workers was ${before.range} and is ${after.range}`],
    [before.settings !== undefined && before.settings !== after.settings, 'the settings have changed'],
    [before.configuration !== after.configuration, 'the configuration has changed']
  ]
  return found.flatMap(([isDifferent, text]) => (isDifferent ? [text] : []))
}

/** Serves routes again that were quarantined because the drill ended workers. */
export async function restore(target: DrillTarget, before: ServiceState): Promise<void> {
  const after = await readState(target).catch(() => undefined)
  for (const route of after?.quarantined ?? []) {
    if (!before.quarantined.includes(route)) await target.ask('quarantine-lift', { route })
  }
}
