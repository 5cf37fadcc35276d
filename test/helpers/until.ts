import { setTimeout as sleep } from 'node:timers/promises'

/** Polls until `check` is true, for state without an event. `patienceMs` only bounds a failure, so it is generous. */
export async function until(check: () => unknown, what: string, patienceMs = 120_000): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${patienceMs} ms`)
    await sleep(5)
  }
}
