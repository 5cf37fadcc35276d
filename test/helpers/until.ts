import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves when `check` is true; for what tells nobody when it changes. Generous: it bounds a failure. */
export async function until(check: () => unknown, what: string, patienceMs = 30_000): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${patienceMs} ms`)
    await sleep(5)
  }
}
