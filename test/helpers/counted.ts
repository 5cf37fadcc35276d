import type { TestContext } from 'node:test'

/** Says how often a test did what docs/testing.md counts, by kind. The test runner adds these up. */
export function counted(t: TestContext, counts: Readonly<Record<string, number>>): void {
  t.diagnostic(`counted: ${JSON.stringify(counts)}`)
}
