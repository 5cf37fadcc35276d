import type { TestContext } from 'node:test'

export type Cleans = Pick<TestContext, 'after'>

const stacks = new WeakMap<Cleans, Array<() => unknown>>()

/**
 * Undoes what a helper began, after the test: the last first, so that a service has ended before its folder goes. Hooks of node:test run
 * in the order of their registration, and a hook that fails keeps the others from running, which leaves processes behind.
 */
export function cleanup(t: Cleans, undo: () => unknown): void {
  const stack = stacks.get(t)
  if (stack) return void stack.push(undo)
  const first = [undo]
  stacks.set(t, first)
  t.after(async () => {
    const errors: unknown[] = []
    for (let last = first.pop(); last; last = first.pop()) {
      try {
        await last()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'cleanups failed')
  })
}
